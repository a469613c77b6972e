"""Reading runs and their logs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from crossfuse.errors import InvalidInput
from crossfuse_training.run_comparison import read_run, read_runs
from crossfuse_training.run_comparison.run_log import HELD_OUT_LOSS, TRAINING_LOSS, read_curves

WriteRun = Callable[..., Path]


def test_steps_are_sorted_as_numbers(tmp_path: Path) -> None:
    lines = [
        {"kind": "train", "step": step, "pairs_seen": 2 * step, "total": float(step)}
        for step in (100, 9, 20)
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    curve = read_curves(path)[TRAINING_LOSS]
    assert curve.pairs_seen.tolist() == [18, 40, 200]
    assert curve.values.tolist() == [9, 20, 100]


def test_a_step_that_was_made_again_counts_once(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    lines = [
        '{"kind": "train", "step": 1, "pairs_seen": 8, "total": 5.0}',
        '{"kind": "train", "step": 2, "pairs_seen": 16, "total": 4.0}',
        '{"kind": "train", "step": 2, "pairs_seen": 16, "total": 3.0}',
        '{"kind": "train", "step": 3, "pairs_seen": 24, "total": null}',
        '{"kind": "notice", "step": 3, "pairs_seen": 24}',
        '{"kind": "train", "step": 4, "pairs',
    ]
    path.write_text("\n".join(lines))
    curve = read_curves(path)[TRAINING_LOSS]
    assert curve.pairs_seen.tolist() == [8, 16]
    assert curve.values.tolist() == [5, 3]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"kind": "train", "step": 1}', "KeyError: 'pairs_seen'"),
        ('{"kind": "train", "step": "x", "pairs_seen": 1, "total": 1}', "ValueError"),
        ("[1, 2]", "line 1: got"),
        ('{"kind": "tra{"kind": "train"}', "line 1: got"),
    ],
)
def test_a_log_of_something_else_is_refused(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(line + "\n")
    with pytest.raises(InvalidInput, match=message):
        read_curves(tmp_path / "metrics.jsonl")


def test_curves_of_a_run(write_run: WriteRun) -> None:
    curves = read_run(write_run("a")).curves
    assert set(curves) == {TRAINING_LOSS, HELD_OUT_LOSS, "SSIM"}
    assert curves["SSIM"].at(4000) == pytest.approx(0.25)
    assert curves["SSIM"].at(2000) == pytest.approx(0.125)
    assert np.isnan(curves["SSIM"].at(9000))
    assert curves["SSIM"].pairs_seen.tolist() == [0, 4000, 8000]
    assert curves["SSIM"].begun().pairs_seen.tolist() == [4000, 8000]
    thin = curves[TRAINING_LOSS].thinned(5)
    assert len(thin.values) == 5
    assert thin.pairs_seen.tolist() == [1200, 2800, 4400, 6000, 7600]


def test_names_tell_runs_apart(write_run: WriteRun) -> None:
    paths = [write_run("x/a"), write_run("y/a"), write_run("b")]
    assert [run.name for run in read_runs(paths[::2])] == ["a", "b"]
    names = [run.name for run in read_runs(paths)]
    assert names[:2] == ["x/a", "y/a"]
    with pytest.raises(InvalidInput, match="twice; valid: each run once"):
        read_runs([paths[0], paths[0]])


def test_what_is_no_finished_run_is_refused(write_run: WriteRun, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"run.json: got No such file .*a run folder"):
        read_run(tmp_path / "none")
    folder = write_run("a")
    (folder / "held_out.json").write_text('{"per_image": {}}')
    with pytest.raises(InvalidInput, match="no per_image"):
        read_run(folder)
    (folder / "held_out.json").write_text('{"per_image": {"set/1": {"SIMM": 1}}}')
    with pytest.raises(InvalidInput, match=r"held_out\.json: got 'SIMM'.*mean 'SSIM'"):
        read_run(folder)
    (folder / "held_out.json").unlink()
    with pytest.raises(InvalidInput, match=r"status 'done' and no held_out\.json"):
        read_run(folder)
