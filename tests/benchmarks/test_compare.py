"""Whether a slowdown is told from noise; runs are simulated, with the noise of a busy machine."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from crossfuse.cli import main
from crossfuse.errors import InvalidInput
from crossfuse_bench.compare import compare, ratio_of, remarks
from crossfuse_bench.compare_errors import markdown, report_of
from crossfuse_bench.rows import latency_fields, not_measured

REPETITIONS = 20
MACHINE = {"processor": "P", "processors": 2, "system": "S", "gpu": "none"}


def simulated(
    seed: int, slowdown: float = 1.0, processes: int = 3, count: int = 20
) -> dict[str, Any]:
    """Processes of some blocks; the machine slows everything down by up to two times."""
    chance = np.random.default_rng(seed)
    blocks = []
    for process in range(processes):
        own = chance.normal(1, 0.01)
        for load in chance.uniform(1, 2, count):
            noise, reference = chance.normal(1, 0.05, 2)
            ms = 10 * slowdown * own * load * noise
            blocks.append({"process": process, "ms": ms, "reference_ms": 4 * load * reference})
    row = {"name": "m", "kind": "engine", "measured": True, "size": "8x8", "blocks": blocks}
    return {"rows": [{**row, **latency_fields([block["ms"] for block in blocks])}]}


def verdicts(slowdown: float, *, times: bool = False) -> list[str]:
    found = []
    for seed in range(REPETITIONS):
        before, after = simulated(2 * seed), simulated(2 * seed + 1, slowdown)
        (only,) = compare(before, after, 0.1, times=times)
        found.append(only.verdict)
    return found


def test_equal_builds_are_the_same() -> None:
    assert verdicts(1.0) == ["same"] * REPETITIONS


def test_a_slowdown_of_20_percent_is_found() -> None:
    assert verdicts(1.2) == ["slower"] * REPETITIONS


def test_a_slowdown_below_the_threshold_passes() -> None:
    assert verdicts(1.03) == ["same"] * REPETITIONS


def test_what_got_faster_is_said() -> None:
    assert verdicts(0.7) == ["faster"] * REPETITIONS


def test_ratios_see_what_times_cannot() -> None:
    # The machine was twice as slow in the second run: no fault of the build.
    before, after = simulated(1), simulated(2)
    for block in after["rows"][0]["blocks"]:
        block["ms"] *= 2
        block["reference_ms"] *= 2
    assert compare(before, after, 0.1, times=False)[0].verdict == "same"
    assert compare(before, after, 0.1, times=True)[0].verdict == "slower"


def test_rows_of_a_server_are_compared_by_their_medians() -> None:
    chance = np.random.default_rng(5)
    row = {"name": "m", "kind": "closed loop", "measured": True, "size": "8x8", "concurrency": 2}
    reports = [
        {"rows": [{**row, **latency_fields(list(chance.normal(mean, 1, 400)))}]}
        for mean in (20, 20, 25)
    ]
    assert compare(reports[0], reports[1], 0.1, times=False)[0].verdict == "same"
    assert compare(reports[0], reports[2], 0.1, times=False)[0].verdict == "slower"


def test_rates_that_a_search_tried_are_not_compared() -> None:
    row = {"name": "m", "kind": "stream", "measured": True, "rate": 10.0}
    steady = {**row, **latency_fields([10.0] * 100)}
    tried = [{**row, **latency_fields([ms] * 60), "search": True} for ms in (10.0, 20.0)]
    report = {"rows": [steady, *tried], "machine": MACHINE}
    (only,) = compare(report, report, 0.1, times=False)
    assert (only.ratio, only.verdict) == (1.0, "same")
    assert remarks(report, report) == []


def test_a_few_blocks_give_no_verdict() -> None:
    # An interval through one block has no width: every second pair of equal builds would differ.
    for before, after in ((simulated(1, 1.0, 1, 1), simulated(2, 1.2, 1, 1)),
                          (simulated(1), simulated(2, 1.2, 1, 7))):  # fmt: skip
        with pytest.raises(InvalidInput, match=r"blocks of calls; 8 needed"):
            compare(before, after, 0.1, times=False)


def test_what_was_not_compared_is_said() -> None:
    before, after = ({**simulated(seed), "machine": MACHINE} for seed in (1, 2))
    assert remarks(before, after) == []
    size = {"size": "16x16"}
    failed = not_measured("m", "engine", "not measured: it crashed", **size)
    before["rows"].append({**before["rows"][0], **size})
    assert remarks(before, after) == [
        "Not compared, 1 rows of A: m, engine, 16x16 (B has no such row)"
    ]
    after["rows"].append(failed)
    assert remarks(before, after) == [
        "Not compared, 1 rows of A: m, engine, 16x16 (B: not measured: it crashed)"
    ]
    assert len(compare(before, after, 0.1, times=False)) == 1


def test_reports_of_different_machines_are_told() -> None:
    before = {**simulated(1), "machine": {**MACHINE, "gpu": "A, driver 1, clock 9 of 10 MHz"}}
    same = {**simulated(2), "machine": {**MACHINE, "gpu": "A, driver 1, clock 3 of 10 MHz"}}
    other = {**simulated(2), "machine": {**MACHINE, "processors": 64}}
    assert remarks(before, same) == []
    (said,) = remarks(before, other)
    assert said.startswith("The machines differ: 2 processors of P, S, GPU A, driver 1; 64 ")


def test_the_interval_is_that_of_another_bootstrap() -> None:
    chance = np.random.default_rng(3)
    sides = [list(chance.normal(mean, 1, (1, 60))) for mean in (10, 11)]
    ratio, low, high = ratio_of(sides[0], sides[1])
    found = stats.bootstrap(
        [side[0] for side in sides],
        lambda one, other, axis: np.median(other, axis) / np.median(one, axis),
        n_resamples=4000, confidence_level=0.99, method="percentile", vectorized=True,
        random_state=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert ratio == pytest.approx(np.median(sides[1]) / np.median(sides[0]))
    assert [low, high] == pytest.approx([found.low, found.high], abs=0.01)


def test_different_measurements_are_refused() -> None:
    before, after = simulated(1), simulated(2)
    after["rows"][0]["size"] = "16x16"
    with pytest.raises(InvalidInput, match=r"no row that can be compared .B has no such row"):
        compare(before, after, 0.1, times=False)


def test_the_exit_code_is_for_ci(
    mean_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "engine", "--model", str(mean_bundle), "--device", "cpu", "--size", "64x64"]
    words += ["--rivals", "", "--processes", "1", "--seconds", "0.6"]
    assert main([*words, "-o", str(tmp_path / "before")]) == 0
    document = json.loads((tmp_path / "before/report.json").read_text())
    # A longer run has as many.
    document["rows"][0]["blocks"] *= 8
    (tmp_path / "before/report.json").write_text(json.dumps(document))
    slower = copy.deepcopy(document)
    slower["rows"][0]["blocks"] = [
        {**block, "ms": 1.5 * block["ms"]} for block in document["rows"][0]["blocks"]
    ]
    (tmp_path / "after.json").write_text(json.dumps(slower))
    capsys.readouterr()
    before, after = str(tmp_path / "before"), str(tmp_path / "after.json")
    assert main(["bench", "compare", before, before]) == 0
    assert capsys.readouterr().out.startswith("same: mean, engine, 64x64")
    assert main(["bench", "compare", before, after, "--threshold", "60"]) == 0
    capsys.readouterr()
    code = main(["bench", "compare", before, after, "--json"])
    printed = json.loads(capsys.readouterr().out)
    (row,) = printed["rows"]
    assert row["ratio"] == pytest.approx(1.5)
    assert printed["remarks"] == []
    # Few blocks of a busy machine may not be enough to be sure.
    assert code == printed["slower"] == int(row["low"] > 1)
    assert main(["bench", "compare", before, str(tmp_path)]) == 2


def test_error_rates_come_from_real_runs(mean_bundle: Path) -> None:
    first, slower = (report_of(str(mean_bundle), 0.1, 1, factor) for factor in (1.0, 3.0))
    for report in (first, slower):
        report["rows"][0]["blocks"] *= 8
    (found,) = compare(first, slower, 0.1, times=True)
    assert found.ratio > 1.5
    text = markdown("mean", [found], [found], "1 process")
    assert "Equal builds flagged: **1 of 1**" in text
