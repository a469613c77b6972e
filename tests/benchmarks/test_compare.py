"""Whether a slowdown is told from noise; runs are simulated, with the noise of a busy machine."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossfuse.cli import main
from crossfuse.errors import InvalidInput
from crossfuse_bench.compare import compare
from crossfuse_bench.compare_errors import markdown, report_of
from crossfuse_bench.rows import latency_fields

REPETITIONS = 20


def simulated(seed: int, slowdown: float = 1.0) -> dict[str, Any]:
    """Three processes of 20 blocks; the machine slows everything down by up to two times."""
    chance = np.random.default_rng(seed)
    blocks = []
    for process in range(3):
        own = chance.normal(1, 0.01)
        for load in chance.uniform(1, 2, 20):
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


def test_different_measurements_are_refused() -> None:
    before, after = simulated(1), simulated(2)
    after["rows"][0]["size"] = "16x16"
    with pytest.raises(InvalidInput, match="no row that both have"):
        compare(before, after, 0.1, times=False)


def test_the_exit_code_is_for_ci(
    mean_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["bench", "engine", "--model", str(mean_bundle), "--device", "cpu", "--size", "64x64"]
    words += ["--rivals", "", "--processes", "1", "--seconds", "0.6"]
    assert main([*words, "-o", str(tmp_path / "before")]) == 0
    document = json.loads((tmp_path / "before/report.json").read_text())
    slower = copy.deepcopy(document)
    for block in slower["rows"][0]["blocks"]:
        block["ms"] *= 1.5
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
    # Few blocks of a busy machine may not be enough to be sure.
    assert code == printed["slower"] == int(row["low"] > 1)
    assert main(["bench", "compare", before, str(tmp_path)]) == 2


def test_error_rates_come_from_real_runs(mean_bundle: Path) -> None:
    first, slower = (report_of(str(mean_bundle), 0.1, 1, factor) for factor in (1.0, 3.0))
    (found,) = compare(first, slower, 0.1, times=True)
    assert found.ratio > 1.5
    text = markdown("mean", [found], [found], "1 process")
    assert "Equal builds flagged: **1 of 1**" in text
