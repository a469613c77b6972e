"""Loads against servers in processes of their own: phases, stalls, failures and verdicts."""

from __future__ import annotations

import importlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossfuse.client import ServerUnreachable
from crossfuse_bench.loaders import Loaders
from crossfuse_bench.percentiles import percentile_of
from crossfuse_bench.report.schema import validate
from crossfuse_bench.rows import run_to_run, stable_in_time
from crossfuse_bench.serve_bench import ServeBench, run_bench
from crossfuse_bench.served_load import Load, Served, plan
from crossfuse_bench.served_runs import RUNS, LoaderSets, one_after_the_other, parts_of
from crossfuse_bench.server_address import ServerAddress
from crossfuse_bench.stand_ins import NoEngine, write_bundle

STALL = 0.05


class StallingEngine(NoEngine):
    """Stands still for 50 ms in every second."""

    def __init__(self) -> None:
        super().__init__()
        self._next = time.monotonic() + 1
        self._guard = threading.Lock()

    def fuse(self, ir: Any, vis: Any) -> Any:
        """vis, uint8 [B,H,W,3]."""
        with self._guard:
            if time.monotonic() > self._next:
                time.sleep(STALL)
                self._next += 1
        return super().fuse(ir, vis)


@pytest.fixture(scope="module")
def stalling_server(until_serving: Callable[[Any], None]) -> Iterator[ServerAddress]:
    """The address of a server with that engine."""
    app: Any = importlib.import_module("crossfuse_server.app")
    settings: Any = importlib.import_module("crossfuse_server.settings")
    with tempfile.TemporaryDirectory() as models:
        write_bundle(Path(models), "none")
        chosen = settings.ServerSettings(
            port=0, models=Path(models), default_model="none", warm_up="32x32"
        )
        server = app.FusionServer(chosen, lambda _: [StallingEngine()])
    server.start()
    until_serving(server)
    yield ServerAddress(f"127.0.0.1:{server.port}")
    server.stop()


@pytest.fixture(scope="module")
def loaders() -> Iterator[Loaders]:
    """One process that makes calls."""
    with Loaders(1) as found:
        yield found


def test_an_open_loop_shows_a_stall(stalling_server: ServerAddress, loaders: Loaders) -> None:
    rate, seconds = 160.0, 3.0
    planned = plan("constant", rate, seconds)
    served = loaders.run(Load(stalling_server, "", 32, 32, seconds, planned=planned))
    assert served.failures == {}
    assert len(served.latencies) == len(planned) == 480
    p99 = percentile_of(served.latencies, 99).value
    assert p99 is not None
    # 5 % of the calls fall into a stall; the latest fifth of them waits at least 40 ms.
    assert p99 > 0.7 * 1e3 * STALL


def test_a_closed_loop_says_what_it_is(stalling_server: ServerAddress) -> None:
    asked = ServeBench(
        server=stalling_server, model="", size=(32, 32), concurrency=[1, 2], rates=[40.0],
        arrivals=["poisson"], modes=["unary", "stream"], encodings=["png"], seconds=0.5,
        search=1.0,
    )  # fmt: skip
    document = run_bench(asked, "crossfuse bench serve", lambda _: None).as_json()
    validate(document)
    one, two, unary, stream, *tried = document["rows"]
    for row, callers in ((one, 1), (two, 2)):
        assert (row["kind"], row["label"]) == ("closed loop", "service time")
        assert row["concurrency"] == callers
    assert unary["label"] == stream["label"] == "latency from the planned start"
    assert unary["arrivals"] == "poisson"
    assert stream["n"] + sum(stream["dropped"].values()) == 20
    assert all(row["search"] and row["arrivals"] == "constant" for row in tried)
    for row in (one, two, unary, stream):
        assert len(row["process_medians"]) == RUNS
        assert row["run_to_run"] > 0
    # A rate is tried in one go: what waits from call to call is what tells.
    assert all(row["run_to_run"] is None and len(row["process_medians"]) == 1 for row in tried)
    for row in document["rows"]:
        assert row["n"] > 0
        assert row["quality"]["note"] == "no fp32 of this model to compare with"
        assert sum(row["phases"].values()) == pytest.approx(row["mean"], rel=1e-6)
        named = sum(row["phases"][name] for name in ("decode", "queue", "infer", "encode"))
        assert named <= row["server_total_ms"] * 1.001
        assert row["phase_residual"] == pytest.approx(1 - named / row["server_total_ms"])
    assert document["extra"]["client_capacity"]["throughput"] > 0
    assert document["extra"]["knee"] in (1, 2)
    rates = {row["rate"] for row in (stream, *tried)}
    for found in document["extra"]["budgets"].values():
        assert {*found["kept"], *found["broken"], *found["undecided"]} == rates
    assert sum("p99 within" in line for line in document["extra"]["findings"]) == 2
    assert document["p50"] == one["p50"]


def test_failures_are_counted_by_reason(stalling_server: ServerAddress, loaders: Loaders) -> None:
    served = loaders.run(Load(stalling_server, "nobody", 32, 32, 0.1, planned=[0.0, 0.05]))
    assert served.failures == {"UnknownModel": 2}
    assert served.latencies == []


def test_plans_keep_their_rate() -> None:
    assert plan("constant", 4, 1) == [0, 0.25, 0.5, 0.75]
    gaps = np.diff(plan("poisson", 100, 50))
    assert gaps.mean() == pytest.approx(0.01, rel=0.05)
    # Exponential: the standard deviation is the mean.
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.1)
    # Also of few calls: what is called 61 a second is no 52.
    few = plan("poisson", 61, 3)
    assert len(few) == 183
    assert 2.9 < few[-1] < 3
    assert few == sorted(few)


def test_windows_of_time_must_agree() -> None:
    starts = np.linspace(0, 3, 300)
    assert stable_in_time([5.0] * 300, list(starts))
    assert not stable_in_time(list(5 + starts), list(starts))
    assert not stable_in_time([5.0] * 300, list(starts**2))


def test_random_arrivals_are_no_instability() -> None:
    planned = plan("poisson", 30, 3)
    assert stable_in_time([5.0] * len(planned), planned, planned)
    # A third of the calls in the last span were lost.
    answered = [at for number, at in enumerate(planned) if at < 2 or number % 3]
    assert not stable_in_time([5.0] * len(answered), answered, planned)


def test_a_rate_is_not_more_than_was_offered(
    stalling_server: ServerAddress, loaders: Loaders
) -> None:
    for stream in (False, True):
        planned = plan("constant", 10, 0.5)
        served = loaders.run(Load(stalling_server, "", 32, 32, 0.5, planned=planned, stream=stream))
        assert len(served.latencies) == 5
        # The last call begins at 0.4 s: what follows it belongs to the time of the load.
        assert served.seconds >= 0.5
    with LoaderSets(1) as sets:
        runs = sets.run(Load(stalling_server, "", 32, 32, 0.6, planned=[0.5]))
        assert [len(run.latencies) for run in runs] == [0, 0, 1]
        whole = one_after_the_other(runs, 0.2)
        assert whole.seconds >= 0.6
        assert whole.starts == pytest.approx([0.5])


def test_a_server_that_is_gone_is_an_error_without_a_traceback(
    loaders: Loaders, capfd: pytest.CaptureFixture[str]
) -> None:
    gone = ServerAddress("127.0.0.1:1")
    with pytest.raises(ServerUnreachable, match="could not be reached at 127"):
        loaders.run(Load(gone, "", 32, 32, 0.1, callers=1))
    assert capfd.readouterr().err == ""
    # Its processes are still there for the next load.
    assert loaders._processes[0].is_alive()


def test_runs_share_the_time_and_the_calls_of_a_load() -> None:
    planned = plan("poisson", 40, 3)
    load = Load(ServerAddress(""), "", 32, 32, 3.0, planned=planned)
    parts = parts_of(load, RUNS)
    assert [part.seconds for part in parts] == [1.0, 1.0, 1.0]
    assert all(0 <= at < 1 for part in parts[:2] for at in part.planned)
    whole = [number + at for number, part in enumerate(parts) for at in part.planned]
    assert whole == pytest.approx(planned)
    # A call that is planned beyond the end is made all the same.
    late = parts_of(Load(ServerAddress(""), "", 32, 32, 0.3, planned=[0.0, 0.35]), RUNS)
    assert [list(part.planned) for part in late] == [[0.0], [], pytest.approx([0.15])]


def test_what_differs_from_run_to_run_is_told() -> None:
    chance = np.random.default_rng(1)

    def served(ms: float) -> Served:
        starts = list(np.linspace(0, 0.99, 60))
        return Served(list(chance.normal(ms, 0.1, 60)), starts, seconds=1.0)

    alike, unlike = ([served(ms) for ms in given] for given in ((10, 10, 10), (10, 10, 13)))
    for runs, stable in ((alike, True), (unlike, False)):
        whole = one_after_the_other(runs, 1.0)
        assert (len(whole.latencies), whole.seconds) == (180, 3.0)
        assert stable_in_time(whole.latencies, whole.starts) is stable
    assert run_to_run([run.latencies for run in alike])["run_to_run"] < 0.01
    spread = run_to_run([run.latencies for run in unlike])
    assert spread["run_to_run"] == pytest.approx(3**0.5 / 11, rel=0.05)
    assert run_to_run([[5.0], []]) == {"process_medians": [5.0], "run_to_run": None}


def test_every_run_has_processes_of_its_own(stalling_server: ServerAddress) -> None:
    with LoaderSets(1) as sets:
        load = Load(stalling_server, "", 32, 32, 0.3, callers=1)
        assert [bool(run.latencies) for run in sets.run(load)] == [True] * RUNS
        processes = {process.pid for each in sets._sets for process in each._processes}
        assert len(processes) == RUNS
        (only,) = sets.run(load, runs=1)
        assert only.seconds >= 0.3
        assert len(sets._sets) == RUNS, "started once and kept"
        kept = [process for each in sets._sets for process in each._processes]
    assert not any(process.is_alive() for process in kept)
