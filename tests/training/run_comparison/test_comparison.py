"""Runs compared: numbers that are known, pictures that differ, what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest

from crossfuse.errors import InvalidInput
from crossfuse_training.run_comparison import compare_runs, read_runs, write_comparison
from crossfuse_training.run_comparison.comparison import as_json
from crossfuse_training.run_comparison.markdown import comparison_markdown

WriteRun = Callable[..., Path]


def test_known_numbers(write_run: WriteRun) -> None:
    comparison = compare_runs(read_runs([write_run("base", 0.5), write_run("other", 0.6)]))
    assert comparison.scores.metrics == ["SSIM", "Nabf"]
    ssim, nabf = comparison.differences[1]
    assert ssim.pictures == 12
    assert ssim.mean == pytest.approx(0.1)
    assert ssim.interval == pytest.approx((0.1, 0.1))
    assert ssim.p_adjusted is not None
    # All 2 ** 12 patterns of signs; all with one sign are as extreme.
    assert ssim.p_adjusted == pytest.approx(2 / 4096)
    assert nabf.mean == 0
    assert nabf.p_adjusted == 1
    cells = comparison.cells
    assert (cells[1][0].rank, cells[0][0].rank) == (1, 2)
    assert cells[0][1].rank == cells[1][1].rank == 1.5
    interval = cells[0][0].interval
    assert interval is not None
    assert cells[0][0].mean is not None
    assert interval[0] < cells[0][0].mean < interval[1]
    assert comparison.notes == []
    text = comparison_markdown(comparison)
    assert "| other | SSIM | 12 | 0.100 | 0.100 to 0.100 | < 0.001 | better |" in text
    assert "| other | Nabf | 12 | 0.000 | 0.000 to 0.000 | 1.000 | not shown |" in text


def test_lower_is_better_where_it_is(write_run: WriteRun) -> None:
    def worse(per_image: dict[str, dict[str, Any]]) -> None:
        for values in per_image.values():
            values["Nabf"] += 0.05

    comparison = compare_runs(read_runs([write_run("a"), write_run("b", change=worse)]))
    assert comparison.cells[0][1].rank == 1
    assert "| b | Nabf | 12 | 0.050 | 0.050 to 0.050 | < 0.001 | worse |" in comparison_markdown(
        comparison
    )


def test_only_common_pictures_are_compared(write_run: WriteRun) -> None:
    runs = read_runs([write_run("a", pictures=12), write_run("b", pictures=10, first=4)])
    comparison = compare_runs(runs)
    assert comparison.scores.pictures == [f"set/{number:03}" for number in range(4, 12)]
    assert comparison.cells[0][0].defined == 8
    assert "4 of them are not counted, because other runs lack them" in comparison.notes[0]
    assert "**Note:** a was measured on 12 pictures" in comparison_markdown(comparison)


def test_nothing_in_common_is_refused(write_run: WriteRun) -> None:
    runs = read_runs([write_run("a"), write_run("b", first=50)])
    with pytest.raises(InvalidInput, match="held-out pictures: got none that a, b have in common"):
        compare_runs(runs)
    with pytest.raises(InvalidInput, match="RUN: got 1 run; valid: two or more"):
        compare_runs(runs[:1])


def test_other_files_under_the_same_names_are_said(write_run: WriteRun) -> None:
    runs = read_runs([write_run("a"), write_run("b", sha256="other")])
    assert "Held-out files of set differ between a and b" in compare_runs(runs).notes[0]


def test_undefined_values_are_left_out(write_run: WriteRun) -> None:
    def undefined(per_image: dict[str, dict[str, Any]]) -> None:
        per_image["set/003"]["SSIM"] = None

    comparison = compare_runs(read_runs([write_run("a"), write_run("b", change=undefined)]))
    assert comparison.cells[1][0].defined == 11
    assert comparison.differences[1][0].pictures == 11
    assert comparison.differences[1][0].mean == pytest.approx(0)


def test_other_losses_are_said(write_run: WriteRun) -> None:
    runs = read_runs([write_run("a"), write_run("b", loss={"weight": 2})])
    assert "trained with different losses" in compare_runs(runs).notes[0]


def test_curves_stand_at_equal_pairs_seen(write_run: WriteRun) -> None:
    # The second saw twice the pairs in as many steps.
    runs = read_runs([write_run("a", 0.5), write_run("b", 0.5, batch=16)])
    text = comparison_markdown(compare_runs(runs))
    assert "| SSIM | 8,000 | 0.500 | 0.250 |" in text
    assert "| SSIM | 4,000 | 0.250 | 0.125 |" in text


def test_files_and_that_they_are_reproducible(write_run: WriteRun, tmp_path: Path) -> None:
    paths = [write_run("a"), write_run("b", 0.7), write_run("c", 0.4)]
    contents = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        write_comparison(compare_runs(read_runs(paths)), tmp_path / name)
        contents.append({path.name: path.read_bytes() for path in (tmp_path / name).iterdir()})
    assert contents[0] == contents[1]
    assert set(contents[0]) == {"comparison.md", "comparison.json", "differences.png", "curves.png"}
    content = json.loads(contents[0]["comparison.json"])
    assert content == json.loads(json.dumps(as_json(compare_runs(read_runs(paths)))))
    assert content["reference"] == "a"
    assert content["runs"]["b"]["differences"]["SSIM"]["mean"] == pytest.approx(0.2)
    assert content["runs"]["b"]["curves"]["SSIM"]["pairs_seen"] == [0, 4000, 8000]
    for name in ("differences.png", "curves.png"):
        picture = cv2.imread(str(tmp_path / "first" / name))
        assert picture is not None
        assert picture.shape[1] == 1000


def test_the_report_says_where_the_numbers_come_from(write_run: WriteRun) -> None:
    text = comparison_markdown(compare_runs(read_runs([write_run("a"), write_run("b")])))
    assert "- set: 90 pairs trained on, 12 pairs held out\n" in text
    assert "- commit 0123456789; machine unknown; 0 minutes of training together\n" in text
