"""Runs what is missing of a study, one process after the other.

A run that is done is skipped, one that was interrupted is resumed, one that failed is tried again;
a failure stops nothing but the runs that begin from its checkpoint.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossfuse.errors import InvalidInput
from crossfuse_training.ablation.expansion import Plan, PlannedRun, plan
from crossfuse_training.ablation.record import Record, read_record
from crossfuse_training.ablation.selection import finished, ranking
from crossfuse_training.ablation.settings import with_checkpoints, words
from crossfuse_training.ablation.study import Study
from crossfuse_training.ablation.training_process import train
from crossfuse_training.recipe_reader import apply_overrides, read_toml
from crossfuse_training.runs.file_names import BEST_NAME, CHECKPOINTS_NAME, RECIPE_NAME

LOCK_NAME = ".lock"


@dataclass(frozen=True)
class Outcome:
    """What became of one run in this call."""

    run: PlannedRun
    status: str
    """done, failed, or skipped (done before)."""
    seconds: float
    error: str | None
    done: int
    """Runs that have had their turn, this one included."""
    total: int


def run_study(
    study: Study,
    output: Path,
    *,
    data_root: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
    report: Callable[[Outcome], None],
) -> tuple[Plan, Record]:
    """Run what is missing; `report` is told of each run as it ends."""
    overrides = overrides or {}
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            "--output", f"{output} ({error.strerror})", "a folder that can be made"
        ) from error
    with _only_one(output) as lock:
        record = read_record(study.name, output)
        now = plan(study, record.winners, overrides)
        for run in now.runs:
            if not run.is_open:
                record.check_unchanged(run)
        record.save()
        turns = 0
        for phase in range(len(study.phases) + 1 if study.phases else 2):
            if phase > 1 and phase not in record.winners:
                if not _choose_winners(now, record, phase):
                    break
                now = plan(study, record.winners, overrides)
            for run in now.runs:
                if run.phase == phase:
                    turns += 1
                    status, seconds, reason = _turn(run, record, data_root, lock)
                    report(Outcome(run, status, seconds, reason, turns, len(now.runs)))
        return now, record


def _choose_winners(now: Plan, record: Record, phase: int) -> bool:
    """Fix what a phase varies; False where nothing of the phase before succeeded."""
    results = finished(now, record)
    places = ranking(now.of_phase(phase - 1), results, now.study.rank_by)
    if places:
        best = places[: now.study.phases[phase - 1].best]
        record.fix_winners(phase, [place.configuration.factors for place in best])
    return bool(places)


def _turn(
    run: PlannedRun, record: Record, data_root: Path | None, lock: int
) -> tuple[str, float, str | None]:
    if record.status(run) == "done":
        if record.runs[run.id].status != "done":
            record.runs[run.id].status = "done"
            record.save()
        return "skipped", 0.0, None
    entry = record.begin(run)
    started = time.monotonic()
    lacking = [name for name in run.needs if record.runs[name].status != "done"]
    if lacking:
        error: str | None = f"needs {', '.join(lacking)}, which failed"
    else:
        arguments = _arguments(run, record, data_root)
        error = train(arguments, record.log(run.id), held_open=lock)
        if error is None and record.status(run) != "done":
            error = "ended without results (no finished run folder)"
    seconds = time.monotonic() - started
    entry.seconds += seconds
    entry.status, entry.error = ("done" if error is None else "failed"), error
    record.save()
    return entry.status, seconds, entry.error


def _arguments(run: PlannedRun, record: Record, data_root: Path | None) -> list[str]:
    """The words after `crossfuse train`."""
    checkpoints = {
        name: (record.folder(name) / CHECKPOINTS_NAME / BEST_NAME).resolve() for name in run.needs
    }
    overrides = words(with_checkpoints(run.settings, checkpoints))
    stage = str(apply_overrides(read_toml(run.recipe), overrides).get("stage"))
    folder = record.folder(run.id)
    arguments = [stage, "--config", str(run.recipe), "--output", str(folder)]
    if data_root is not None:
        arguments += ["--data", str(data_root)]
    if (folder / RECIPE_NAME).exists():
        arguments.append("--resume")
    return [*arguments, *overrides]


@contextmanager
def _only_one(output: Path) -> Iterator[int]:
    """A lock on the folder, held by us and by the training process that we start."""
    descriptor = os.open(output / LOCK_NAME, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise InvalidInput(
                "--output",
                f"{output}, where a study or a training process of it is still at work",
                "a folder that nobody works in; wait for it, or end it",
            ) from None
        yield descriptor
    finally:
        os.close(descriptor)
