"""Runs that are cut off, and what is left of them."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn

from crossfuse.errors import InvalidInput, OutputError
from crossfuse_training.checkpoint import load, read_record
from crossfuse_training.recipe import Recipe
from crossfuse_training.stages import train

Tiny = Callable[..., Recipe]

WORDS = (
    "network.variant=rt",
    "network.options={quarter_channels=4,eighth_channels=4,sixteenth_channels=4}",
    "network.frozen=[]",
    "loss={l1={weight=1.0},ssim={weight=10.0,ramp={until=0.5}}}",
    "optimiser.factors={}",
)
"""The end-to-end smoke recipe with a tiny student: every step is quick."""


def curve(run: Path) -> list[tuple[Any, ...]]:
    """What metrics.jsonl says of losses, without what the clock says."""
    return [
        (entry["kind"], entry["step"], entry.get("total", entry.get("loss")), entry.get("metrics"))
        for entry in map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    ]


def weights(run: Path, name: str) -> bytes:
    return (run / "checkpoints" / name / "weights.safetensors").read_bytes()


def test_a_run_killed_in_its_middle_ends_as_if_it_had_not_been(
    tmp_path: Path, smoke: Path, quick: tuple[str, ...], tiny: Tiny
) -> None:
    # Windows of log lines, validations and saved states that do not end together.
    words = [*WORDS, "steps=150", "run.log_every=7", "run.checkpoint_every=30",
             "validation.every=50", "validation.pairs=2", "run.preview_every=100",
             "schedule.kind=plateau", "schedule.patience=0"]  # fmt: skip
    killed = tmp_path / "killed"
    command = [sys.executable, "-m", "crossfuse", "train", "end-to-end", "--config",
               str(smoke / "end-to-end.toml"), "--output", str(killed), *quick, *words]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=tmp_path)
    log = killed / "metrics.jsonl"
    while process.poll() is None and not (log.is_file() and '"step": 63,' in log.read_text()):
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the run was over before it could be killed"
    assert isinstance(load(killed / "checkpoints" / "last"), nn.Module), (
        "a killed run keeps a checkpoint that loads"
    )
    assert json.loads((killed / "run.json").read_text())["status"] == "running"

    recipe = tiny("end-to-end", *words)
    resumed = train(recipe, killed, data_root=None, resume=True)
    whole = train(recipe, tmp_path / "whole", data_root=None)
    assert curve(killed) == curve(tmp_path / "whole")
    for name in ("best", "last"):
        assert weights(killed, name) == weights(tmp_path / "whole", name)
    assert resumed.held_out_after == whole.held_out_after
    assert json.loads((killed / "run.json").read_text())["status"] == "done"


def test_a_full_disk_keeps_the_checkpoint_before(
    tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = tiny("end-to-end", *WORDS)
    write = Path.write_bytes

    def full_from_step_4(path: Path, content: bytes) -> int:
        if path.name == "weights.safetensors" and ".last.new" in path.parts and saved:
            raise OSError(errno.ENOSPC, "No space left on device")
        if ".last.new" in path.parts:
            saved.append(path)
        return write(path, content)

    saved: list[Path] = []
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full_from_step_4)
        with pytest.raises(OutputError, match="No space left"):
            train(recipe, tmp_path / "run", data_root=None)
    assert isinstance(load(tmp_path / "run" / "checkpoints" / "last"), nn.Module)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["status"] == "failed"
    assert "No space left" in record["error"]
    train(recipe, tmp_path / "run", data_root=None, resume=True)
    train(recipe, tmp_path / "whole", data_root=None)
    assert weights(tmp_path / "run", "last") == weights(tmp_path / "whole", "last")


def test_another_recipe_is_refused_with_the_difference(tmp_path: Path, tiny: Tiny) -> None:
    train(tiny("end-to-end", *WORDS, "steps=2"), tmp_path / "run", data_root=None)
    changed = tiny("end-to-end", *WORDS, "steps=2", "loss.ssim.weight=5000", "seed=7")
    with pytest.raises(InvalidInput) as caught:
        train(changed, tmp_path / "run", data_root=None, resume=True)
    assert "loss.ssim.weight: 10.0 -> 5000.0" in str(caught.value)
    assert "seed: 1 -> 7" in str(caught.value)
    with pytest.raises(InvalidInput, match="holds a run; valid: a new folder, or --resume"):
        train(changed, tmp_path / "run", data_root=None)


def test_a_checkpoint_set_aside_in_the_moment_of_a_kill_is_found(
    tmp_path: Path, tiny: Tiny
) -> None:
    train(tiny("end-to-end", *WORDS, "steps=2"), tmp_path / "run", data_root=None)
    last = tmp_path / "run" / "checkpoints" / "last"
    last.rename(last.with_name(".last.old"))
    assert read_record(last).variant == "rt"
    assert isinstance(load(last), nn.Module)
