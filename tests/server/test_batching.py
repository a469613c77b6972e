"""Which jobs run together and in which order, without time or threads; then through a server."""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfuse.arrays import UInt8Array
from crossfuse.engines import Engine, EngineDescription
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server import engines, pace
from crossfuse_server.batching import BatchRules, Pending
from crossfuse_server.jobs import Job
from crossfuse_server.settings import ServerSettings

Serve = Callable[..., Any]


def job(client: str = "a", size: int = 32, priority: int = 1, at: float = 0.0) -> Job:
    ir = np.zeros((size, size), np.uint8)
    vis = np.zeros((size, size, 3), np.uint8)
    return Job(ir, vis, client, math.inf, priority, queued_at=at)


def waiting(rules: BatchRules, *jobs: Job) -> Pending:
    pending = Pending(rules)
    for each in jobs:
        pending.add(each)
    return pending


def test_without_batching_jobs_run_one_by_one_in_order() -> None:
    jobs = [job() for _ in range(3)]
    pending = waiting(BatchRules(), *jobs)
    assert [pending.next_batch(0.0) for _ in range(4)] == [[jobs[0]], [jobs[1]], [jobs[2]], []]


def test_one_shape_runs_together_and_nothing_overtakes() -> None:
    jobs = [job(), job(), job(size=64), job()]
    pending = waiting(BatchRules(max_batch=8), *jobs)
    assert pending.next_batch(0.0) == jobs[:2]
    assert pending.next_batch(0.0) == [jobs[2]]
    assert pending.next_batch(0.0) == [jobs[3]]


def test_clients_take_turns() -> None:
    much = [job("much") for _ in range(4)]
    little = [job("little") for _ in range(2)]
    pending = waiting(BatchRules(), *much, *little)
    order = [pending.next_batch(0.0)[0].client for _ in range(6)]
    assert order == ["much", "little", "much", "little", "much", "much"]


def test_priority_orders_the_own_jobs_only() -> None:
    low, normal, high = job(priority=0), job(priority=1), job(priority=2)
    other = job("b", priority=0)
    pending = waiting(BatchRules(), low, normal, other, high)
    assert [pending.next_batch(0.0)[0] for _ in range(4)] == [high, other, normal, low]


@pytest.mark.parametrize(
    ("count", "age", "taken"),
    [(1, 0.0, 0), (1, 0.01, 1), (3, 0.0, 0), (4, 0.0, 4), (5, 0.0, 4), (8, 0.0, 8), (9, 0.0, 8)],
)
def test_how_long_it_is_worth_waiting_for_more(count: int, age: float, taken: int) -> None:
    rules = BatchRules(max_batch=8, max_delay=0.01, preferred=(4,))
    pending = waiting(rules, *(job(at=1.0) for _ in range(count)))
    assert len(pending.next_batch(1.0 + age)) == taken
    assert len(pending) == count - taken


def test_when_to_look_again() -> None:
    rules = BatchRules(max_batch=8, max_delay=0.5)
    assert Pending(rules).next_time() == math.inf
    assert waiting(rules, job(at=2.0), job(at=3.0)).next_time() == 2.5


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([32, 64]), st.integers(0, 2))),
    st.integers(1, 5),
)
def test_every_job_runs_once_and_lines_keep_their_order(
    wanted: list[tuple[str, int, int]], most: int
) -> None:
    jobs = [job(*each) for each in wanted]
    pending = waiting(BatchRules(max_batch=most), *jobs)
    ran: list[Job] = []
    while batch := pending.next_batch(0.0):
        assert len(batch) <= most
        assert len({each.shape for each in batch}) == 1
        ran += batch
    assert Counter(map(id, ran)) == Counter(map(id, jobs))
    for client in "abc":
        own = [each for each in jobs if each.client == client]
        done = [each for each in ran if each.client == client]
        assert done == sorted(own, key=lambda each: -each.priority)


class Recorder(Engine):
    """Fixed time per call; remembers the batches and shows each pair its own picture."""

    def __init__(self, seconds: float) -> None:
        self.batches: list[int] = []
        self._seconds = seconds

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        self.batches.append(len(ir))
        time.sleep(self._seconds)
        return vis

    def describe(self) -> EngineDescription:
        return EngineDescription("mean", 1, "fp32", "", "test:0", "none", "none", 1, 32)


def run_many(running: Any, make: Any, count: int) -> None:
    """So many calls at once, each with a picture of its own."""
    pictures = [make.vis(seed=number) for number in range(count)]
    futures = [
        running.stub.Fuse.future(make.request(vis=picture), timeout=60) for picture in pictures
    ]
    for picture, future in zip(pictures, futures, strict=True):
        assert (make.pixels(future.result().fused) == picture).all()


def test_batches_give_everybody_his_own_picture(serve: Serve, make: Any) -> None:
    engine = Recorder(0.01)
    running = serve(engine, batching="on", max_batch=4)
    run_many(running, make, 24)
    assert max(engine.batches) == 4
    assert sum(engine.batches) == 24
    assert running.info().models[0].max_batch == 4


def test_batches_pay_three_times_at_eight(serve: Serve, make: Any) -> None:
    """Counted in calls of an engine whose time is per call; the throughput: bench overload."""
    engine = Recorder(0.02)
    running = serve(engine, batching="on", max_batch=8, batch_delay_ms=20)
    run_many(running, make, 64)
    assert len(engine.batches) <= 64 / 3


def test_one_camera_alone_is_not_held_up(serve: Serve, make: Any) -> None:
    engine = Recorder(0.0)
    running = serve(engine, batching="on", max_batch=8)
    for _ in range(5):
        answer = running.fuse(make.request())
        assert answer.timings.batch_size == 1


def test_one_bad_pair_does_not_fail_what_runs_with_it(serve: Serve, make: Any) -> None:
    """It is found out before the batch is made."""
    running = serve(Recorder(0.01), batching="on", max_batch=8)
    good = [running.stub.Fuse.future(make.request(), timeout=60) for _ in range(4)]
    bad = running.stub.Fuse.future(make.request(vis=pb.Image(data=b"x")), timeout=60)
    assert bad.code().name == "INVALID_ARGUMENT"
    assert {future.code().name for future in good} == {"OK"}


class Clocked(Recorder):
    """An engine whose time passes on a clock of its own."""

    def __init__(self, per_call: float, per_pair: float, device: str) -> None:
        super().__init__(0.0)
        self.now = 0.0
        self._costs = per_call, per_pair
        self._device = device

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        self.now += self._costs[0] + self._costs[1] * len(ir)
        return vis

    def describe(self) -> EngineDescription:
        return replace(super().describe(), device=self._device)


@pytest.mark.parametrize(
    ("batching", "per_call", "per_pair", "device", "expected"),
    [
        ("off", 1.0, 0.0, "test:0", 1),
        ("on", 0.0, 1.0, "test:0", 8),
        ("auto", 1.0, 0.0, "test:0", 8),
        ("auto", 1.0, 0.5, "test:0", 4),  # 1.5 alone, then 1, 0.75, 0.625 for each
        ("auto", 0.0, 1.0, "test:0", 1),
        ("auto", 1.0, 0.0, "cpu", 1),
    ],
)
def test_auto_is_decided_by_measurement(
    batching: str,
    per_call: float,
    per_pair: float,
    device: str,
    expected: int,
    models: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = Clocked(per_call, per_pair, device)
    monkeypatch.setattr(engines, "perf_counter", lambda: engine.now)
    settings = ServerSettings(models=models, batching=batching, warm_up="32x32")
    assert engines.batch_rules(settings, engine).max_batch == expected


def test_streams_keep_their_order_in_batches(serve: Serve, make: Any) -> None:
    running = serve(Recorder(0.002), batching="on", max_batch=8)
    failures: list[Any] = []

    def stream() -> None:
        call = running.stream(max_in_flight=4)
        for number in range(30):
            call.frame(number, make.raw(make.ir()), make.raw(make.vis(seed=number)))
        call.half_close()
        answers, _ = call.rest()
        for number, answer in enumerate(answers):
            if (make.pixels(answer.fused.image) != make.vis(seed=number)).any():
                failures.append(number)
        if len(answers) != 30:
            failures.append(len(answers))

    threads = [threading.Thread(target=stream) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_a_call_with_priority_goes_first(
    serve: Serve, gated: Any, make: Any, eventually: Callable[..., None]
) -> None:
    running = serve(gated)
    futures = [running.stub.Fuse.future(make.request(), timeout=60)]
    gated.wait_for_picture()
    for number, priority in enumerate((pb.PRIORITY_LOW, pb.PRIORITY_NORMAL, pb.PRIORITY_HIGH), 1):
        options = pb.FuseOptions(priority=priority)
        request = make.request(np.full((48, 64), number, np.uint8), options=options)
        futures.append(running.stub.Fuse.future(request, timeout=60))
        eventually(lambda number=number: running.waiting == number)
    gated.let_through()
    for future in futures:
        future.result()
    assert gated.seen[1:] == [3, 2, 1]


def test_the_pace_of_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(pace, "monotonic", lambda: now[0])
    measured = pace.Pace()
    assert measured.expected(1000) == pace.GUESS_PER_RUN
    measured.guess(2.0, 1000)
    assert measured.expected(500) == 1.0
    assert measured.least(1000) == 0.0, "a guess refuses nobody"
    measured.add(4.0, 1000)
    measured.add(1.0, 1000)
    assert 1.0 < measured.expected(1000) < 4.0
    assert measured.least(1000) == 1.0
    now[0] += pace.TRUSTED_SECONDS + 1
    assert measured.least(1000) == 0.0, "what was long ago refuses nobody"
