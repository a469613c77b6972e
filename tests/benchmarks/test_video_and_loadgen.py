"""Whole chains against a server that returns the visible picture: video, and MLPerf LoadGen."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from crossfuse.errors import EngineError
from crossfuse_bench.loadgen import is_valid, main, run_scenario
from crossfuse_bench.report.schema import validate
from crossfuse_bench.scenes import load_scenes
from crossfuse_bench.server_address import ServerAddress
from crossfuse_bench.stand_ins import NoEngine, write_bundle
from crossfuse_bench.video_bench import VideoBench, run_bench


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerAddress]:
    """Its address."""
    app: Any = importlib.import_module("crossfuse_server.app")
    settings: Any = importlib.import_module("crossfuse_server.settings")
    models = tmp_path_factory.mktemp("models")
    write_bundle(models, "none")
    chosen = settings.ServerSettings(port=0, models=models, default_model="none", warm_up="32x32")
    found = app.FusionServer(chosen, lambda _: [NoEngine()])
    found.start()
    yield ServerAddress(f"127.0.0.1:{found.port}")
    found.stop()


def test_a_video_gives_a_report(server: ServerAddress) -> None:
    asked = VideoBench("synthetic", "synthetic", server, "none", streams=[1], frames=8)
    document = run_bench(asked, "crossfuse bench video", lambda _: None).as_json()
    validate(document)
    (row,) = document["rows"]
    assert (row["n"], row["size"], row["streams"]) == (8, "480x640", 1)
    assert row["p50"] > 0
    assert row["throughput"] == pytest.approx(1e3 / row["interval_ms"], rel=0.9)
    assert row["failures"] == {}
    assert row["quality"]["note"] == "no fp32 of this model to compare with"
    # Both cameras are live: where one starts a frame early, that frame has no partner.
    assert row["dropped"].keys() <= {"infrared: unpaired", "visible: unpaired"}


def test_a_video_that_cannot_be_fused_is_an_error(server: ServerAddress) -> None:
    asked = VideoBench("synthetic", "synthetic", server, "nobody", streams=[1], frames=4)
    with pytest.raises(EngineError, match=r"less than two frames: .*nobody"):
        run_bench(asked, "", lambda _: None)


@pytest.mark.parametrize("scenario", ["single-stream", "server"])
def test_loadgen_gives_its_verdict(server: ServerAddress, tmp_path: Path, scenario: str) -> None:
    pytest.importorskip("mlperf_loadgen", reason="mlcommons-loadgen is not installed")
    summary, failures = run_scenario(
        server,
        scenario,
        load_scenes(64, 64),
        seconds=1.0,
        rate=20.0,
        folder=tmp_path,
    )
    assert not failures
    assert (
        "Scenario : " + {"single-stream": "SingleStream", "server": "Server"}[scenario] in summary
    )
    # 20 calls are too few for a p99; a second of calls without pause is enough for a p90.
    assert is_valid(summary) == (scenario == "single-stream")


def test_failed_calls_are_counted(server: ServerAddress, tmp_path: Path) -> None:
    pytest.importorskip("mlperf_loadgen", reason="mlcommons-loadgen is not installed")
    scenes = load_scenes(64, 64, count=1)
    ir, vis = scenes.pairs[0]
    small = type(scenes)("too small after the first", [(ir, vis), (ir[:8, :8], vis[:8, :8])])
    _, failures = run_scenario(
        server, "single-stream", small, seconds=0.1, rate=50.0, folder=tmp_path
    )
    assert set(failures) <= {"InvalidRequest", "InvalidInput"}
    assert sum(failures.values()) > 0


@pytest.mark.parametrize(
    ("option", "value"),
    [("--seconds", "inf"), ("--rate", "0"), ("--height", "-1"), ("--width", "wide")],
)
def test_loadgen_is_given_numbers_above_0(
    option: str, value: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # At a rate of 0 LoadGen itself would never end.
    with pytest.raises(SystemExit, match="2"):
        main(["-o", str(tmp_path / "logs"), option, value])
    assert f"{option}: got {value}; valid: a number above 0" in capsys.readouterr().err


def test_loadgen_without_a_server_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("mlperf_loadgen", reason="mlcommons-loadgen is not installed")
    with pytest.raises(SystemExit, match="1"):
        main(["-o", str(tmp_path / "logs"), "--server", "127.0.0.1:1", "--height", "32"])
    assert "loadgen: the server could not be reached at 127.0.0.1:1" in capsys.readouterr().err
