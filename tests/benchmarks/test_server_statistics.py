"""What a server counts beside what its client saw, over real calls of a fixed delay."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from crossfuse import synthetic
from crossfuse.client import FusionClient
from crossfuse.errors import EngineError
from crossfuse_bench.process import MeasuredProcess
from crossfuse_bench.quality import served_quality
from crossfuse_bench.serve_rows import ServeRows
from crossfuse_bench.served_runs import LoaderSets
from crossfuse_bench.server_address import ServerAddress
from crossfuse_bench.server_statistics import (
    ServerStatistics,
    differences,
    statistics_sentence,
)
from crossfuse_bench.stand_ins import NoEngine
from crossfuse_bench.stand_ins import write_bundle as write_empty_bundle

DELAY = 0.05


def start(models: Path, name: str, open_engines: Any = None) -> Any:
    app: Any = importlib.import_module("crossfuse_server.app")
    settings: Any = importlib.import_module("crossfuse_server.settings")
    chosen = settings.ServerSettings(port=0, models=models, default_model=name, warm_up="32x32")
    server = app.FusionServer(chosen, open_engines)
    server.start()
    return server


@pytest.fixture(scope="module")
def rows(
    tmp_path_factory: pytest.TempPathFactory, until_serving: Callable[[Any], None]
) -> Iterator[ServeRows]:
    """Rows of a server whose engine takes 50 ms, whatever the machine does."""
    models = tmp_path_factory.mktemp("models")
    write_empty_bundle(models, "slow")
    server = start(models, "slow", lambda _: [NoEngine(per_call=DELAY)])
    until_serving(server)
    address = ServerAddress(f"127.0.0.1:{server.port}")
    with address.client() as client:
        info = client.models()[0]
    with ServerStatistics(address, info) as statistics, LoaderSets(2) as loaders:
        quality = {"raw": {"psnr": None, "ssim": None, "note": "none"}}
        yield ServeRows(address, info, (32, 32), loaders, statistics, quality, lambda _: None)
    server.stop()


def check(row: dict[str, Any]) -> None:
    server = row["server"]
    assert server["n"] == row["n"] > 0
    assert server["failed"] == 0
    # Both tell of the same calls: the server's sums, and what it wrote into each answer.
    assert max(differences(row)) < 0.1
    assert server["request_ms"] < row["mean"]
    assert server["compute_infer_ms"] >= 1e3 * DELAY
    parts = ("queue", "compute_input", "compute_infer", "compute_output", "overhead")
    assert sum(server[f"{part}_ms"] for part in parts) == pytest.approx(server["request_ms"])
    named = sum(row["phases"][name] for name in ("decode", "queue", "infer", "encode"))
    assert named == pytest.approx(row["server_total_ms"], rel=0.05)


def test_client_and_server_count_the_same(rows: ServeRows) -> None:
    closed = rows.closed(2, "raw", 0.6)
    check(closed)
    assert closed["server"]["throughput"] == pytest.approx(closed["throughput"])
    unary = rows.open("unary", "constant", 10.0, "raw", 0.6)
    check(unary)
    assert unary["server"]["n"] == unary["server"]["executions"] == 6
    check(rows.open("stream", "constant", 10.0, "raw", 0.6))
    assert "agree over 2 rows" in statistics_sentence([closed, unary], "")


def test_other_callers_are_noticed(rows: ServeRows) -> None:
    row = rows.open("unary", "constant", 20.0, "raw", 0.2)
    row["server"]["n"] += 1
    assert "DISAGREE over 1 rows: counts differ by at most 25.0%" in statistics_sentence([row], "")


def test_a_server_without_statistics_says_so(rows: ServeRows) -> None:
    server = grpc.server(ThreadPoolExecutor(1))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    model = rows._statistics._model
    with ServerStatistics(ServerAddress(f"127.0.0.1:{port}"), model) as statistics:
        assert statistics.read() is None
        sentence = statistics_sentence([], statistics.missing)
    server.stop(None)
    assert sentence.endswith("the server does not tell its statistics: UNIMPLEMENTED")


def test_quality_of_what_is_served(
    tmp_path: Path,
    write_bundle: Any,
    until_serving: Callable[[Any], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_bundle(tmp_path)
    server = start(tmp_path, "mean")
    until_serving(server)
    with FusionClient(f"127.0.0.1:{server.port}") as client:
        client.fuse(*synthetic.pair(0, 32, 32))
        info = client.models()[0]
        unknown = served_quality(client, info, (32, 32), ["raw"])
        monkeypatch.setenv("CROSSFUSE_MODELS", str(tmp_path))
        found = served_quality(client, info, (32, 32), ["raw", "jpeg"])
    server.stop()
    assert unknown["raw"]["psnr"] is unknown["raw"]["ssim"] is None
    assert found["raw"] == {
        "psnr": None, "ssim": 1.0, "note": "the same bytes as fp32 on the CPU",
    }  # fmt: skip
    assert 25 < found["jpeg"]["psnr"] < 60
    assert 0.8 < found["jpeg"]["ssim"] < 1


def test_a_process_that_ends_is_no_endless_wait() -> None:
    with pytest.raises(EngineError, match="a process of the measurement ended early"):
        MeasuredProcess(partial(int, "no port"))
