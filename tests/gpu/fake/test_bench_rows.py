"""`bench engine` on a fake GPU: its rows, and what of them the reports show."""

from __future__ import annotations

import csv
import functools
import io
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from crossfuse.errors import InvalidInput
from crossfuse_bench import engine_bench, engine_runs, quality
from crossfuse_bench.compare import compare
from crossfuse_bench.device import passes
from crossfuse_bench.device.energy import COUNTER
from crossfuse_bench.engine_bench import EngineBench, run_bench
from crossfuse_bench.engine_runs import measure
from crossfuse_bench.report.document import write_report
from crossfuse_bench.report.schema import validate
from crossfuse_bench.scenes import load_scenes

SCENES = functools.cache(load_scenes)
KERNEL_MS, WATTS = 7.0, 50
CALL_MS = KERNEL_MS + 7 * 32 * 40 / 1000


@pytest.fixture
def asked(
    tensorrt: Any, board: Any, store: Callable[..., Any], mean_bundle: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> EngineBench:  # fmt: skip
    """Two sittings with TensorRT, in this process, where the fakes are."""
    store()
    for module in (engine_bench, quality):
        monkeypatch.setattr(module, "run_in_process", measure)
    monkeypatch.setattr(engine_bench, "measured_peak", lambda _: {"gflops": 1, "copy_gbytes": 1})
    monkeypatch.setattr(passes, "LEAST_ENERGY_SECONDS", 0.0)
    monkeypatch.setattr(engine_runs, "REFERENCE_PRODUCTS", 1)
    monkeypatch.setattr(engine_runs, "load_scenes", SCENES)
    monkeypatch.setenv("CROSSFUSE_DATA", str(mean_bundle))
    return EngineBench(
        model=str(mean_bundle), device="tensorrt", sizes=[(32, 40)], batches=[1],
        precisions=["fp32"], threads=[1], rivals=["average", "eager"], processes=2, seconds=0.4,
    )  # fmt: skip


def report(asked: EngineBench) -> dict[str, Any]:
    short = replace(asked, rivals=[], processes=1)
    return run_bench(short, "crossfuse bench engine", lambda _: None).as_json()


def test_phases_graphs_and_energy_are_rows(asked: EngineBench, tmp_path: Path) -> None:
    document = run_bench(asked, "crossfuse bench engine", lambda _: None)
    written = write_report(document, tmp_path)
    own, other, average, eager, *absent = written["rows"]
    # TensorRT itself runs by graphs, so that the second row is the one without.
    assert [row["launch"] for row in (own, other)] == ["cuda-graph", "queued"]
    for row in (own, other):
        assert row["kind"] == "engine"
        assert row["provider"].startswith("TensorRT engine")
        assert row["p50"] > 0
        assert 20 < row["quality"]["psnr"] <= 100
        times = row["device_times"]
        assert times["compute"]["p50"] == pytest.approx(KERNEL_MS)
        assert times["n"] > 0
        # As for every percentile: where there are too few calls, the reason stands in its place.
        assert (times["wall"]["p99"] is None) == (times["n"] < 368)
        assert ("p99" in times["wall"]["reasons"]) == (times["n"] < 368)
        assert row["energy"]["joules_per_pair"] == pytest.approx(WATTS * CALL_MS / 1e3, rel=1e-3)
        assert row["energy"]["how"] == COUNTER
    assert average["device"] == "cpu"
    assert not {"launch", "device_times", "energy"} & average.keys()
    assert (eager["device"], eager["measured"]) == ("cuda", False)
    assert {row["launch"] for row in absent if "launch" in row} == {"cuda-graph"}
    table = (tmp_path / "report.md").read_text(encoding="utf-8")
    page = unescape((tmp_path / "report.html").read_text(encoding="utf-8"))
    for text in (table, page):
        assert len(re.findall(r"(?:\| |<td>)7 / ", text)) == 2
        assert text.count(COUNTER) == 2
    rows = list(csv.DictReader(io.StringIO((tmp_path / "report.csv").read_text("utf-8"))))
    assert rows[0]["compute_p50"] == rows[1]["compute_p50"] == f"{KERNEL_MS}"
    assert rows[0]["launch"] == "cuda-graph"
    assert rows[0]["energy_how"] == COUNTER
    assert rows[2]["compute_p50"] == rows[2]["joules_per_pair"] == ""
    for row in written["rows"]:
        # As many as a longer run has.
        row["blocks"] = 4 * row.get("blocks", [])
    compared = compare(written, written, 0.1, times=False)
    assert [each.verdict for each in compared] == ["same", "same"]
    assert "queued" in compared[1].row


def test_a_graph_that_cannot_be_captured_is_a_row_with_a_reason(
    asked: EngineBench, driver: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = driver._stream_begin_capture

    def refuse(*arguments: Any) -> None:
        begin(*arguments)
        driver.fail["cuMemcpyHtoDAsync_v2"] = 900

    monkeypatch.setattr(driver, "_stream_begin_capture", refuse)
    own, graph, *_ = report(asked)["rows"]
    assert (own["launch"], own["measured"]) == ("queued", True)
    assert own["device_times"]["compute"]["p50"] == pytest.approx(KERNEL_MS)
    assert (graph["launch"], graph["measured"], graph["p50"]) == ("cuda-graph", False, None)
    assert graph["reason"].startswith("not measured: no CUDA graph can be recorded: ")
    assert graph["device_times"] == {"n": 0, "reason": graph["reason"]}


def test_an_engine_without_a_split_keeps_its_row(
    asked: EngineBench, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refuse(*_: Any) -> Any:
        raise RuntimeError("it works on a stream of its own")

    monkeypatch.setattr("crossfuse_bench.engine_runs.open_calls", refuse)
    document = run_bench(replace(asked, rivals=[], processes=1), "", lambda _: None)
    written = write_report(document, tmp_path)
    own, other, *_ = written["rows"]
    assert own["p50"] > 0
    assert own["device_times"]["reason"] == "not measured: it works on a stream of its own"
    assert own["energy"]["joules_per_pair"] > 0
    assert not other["measured"]
    assert "| 0 | not measured: it works on a stream of its own | - | - | - |" in (
        tmp_path / "report.md"
    ).read_text(encoding="utf-8")


def test_a_device_that_is_not_there_has_no_number(asked: EngineBench) -> None:
    document = report(asked)
    (row, *_) = [row for row in document["rows"] if row["device"] == "cuda"]
    energy = document["rows"][0]["energy"]
    for name, wrong in (("device_times", document["rows"][0]["device_times"]), ("energy", energy)):
        kept = row[name]
        row[name] = wrong
        with pytest.raises(InvalidInput, match=name):
            validate(document)
        row[name] = kept
    validate(document)
    energy["joules_per_pair"] = 0
    with pytest.raises(InvalidInput, match="joules_per_pair"):
        validate(document)
