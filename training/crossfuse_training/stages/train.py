"""Trains a recipe: opens what it needs, runs its stage, and says how it ended."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from crossfuse_training.data import open_data, root_of
from crossfuse_training.recipe import Recipe
from crossfuse_training.runs.folder import RunFolder
from crossfuse_training.runs.metrics_log import read_metrics
from crossfuse_training.stages import autoencoder, distill, end_to_end, fusion
from crossfuse_training.stages.learning import Prepared
from crossfuse_training.stages.needs import pictures_of_teacher, with_needs
from crossfuse_training.stages.run import Run
from crossfuse_training.stages.workers import Workers, close_workers, open_workers


class Stage(NamedTuple):
    """How a stage makes its network ready, and its loop."""

    prepare: Callable[[Recipe, Workers], Prepared]
    train: Callable[[Run], None]


STAGES = {
    "autoencoder": Stage(autoencoder.prepare, autoencoder.train),
    "fusion": Stage(fusion.prepare, fusion.train),
    "end-to-end": Stage(end_to_end.prepare, end_to_end.train),
    "distill": Stage(distill.prepare, distill.train),
}


@dataclass(frozen=True)
class RunResult:
    """How a run ended."""

    folder: Path
    steps: int
    """Steps that were made, resumed ones among them."""
    held_out_before: float
    """Loss of the held-out pairs before the first step."""
    held_out_after: float
    """The same of the best checkpoint."""
    best: dict[str, Any]
    """Step, metric and value of the best validation."""
    is_first: bool
    """Whether this process is the one that speaks for the run."""

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "run": str(self.folder),
            "steps": self.steps,
            "held_out_loss_before": self.held_out_before,
            "held_out_loss": self.held_out_after,
            "best": self.best,
        }


def train(
    recipe: Recipe,
    output: Path,
    *,
    data_root: Path | None,
    resume: bool = False,
    skip_bad: bool = False,
) -> RunResult:
    """Train into the folder `output`; one process, or one of those that torchrun started.

    With `resume` a run that was interrupted goes on from its last checkpoint; the result is that
    of an uninterrupted run, on a CPU bit for bit.
    """
    workers = open_workers()
    try:
        return _train(recipe, output, workers, data_root, resume=resume, skip_bad=skip_bad)
    finally:
        close_workers()


def _train(
    recipe: Recipe,
    output: Path,
    workers: Workers,
    data_root: Path | None,
    *,
    resume: bool,
    skip_bad: bool,
) -> RunResult:
    torch.set_num_threads(recipe.threads)
    folder = RunFolder(output)
    if workers.is_first:
        folder.check(recipe, resume=resume)
    data = open_data(
        recipe.data,
        root_of(data_root),
        skip_bad=skip_bad,
        teacher=pictures_of_teacher(recipe),
        seed=recipe.seed,
    )
    if workers.is_first:
        folder.begin(recipe)
        folder.write_data(data.listing())

    def train_first(need: Recipe, below: Path) -> None:
        _train(need, below, workers, data_root, resume=below.exists(), skip_bad=skip_bad)

    ready = with_needs(recipe, output, train_first)
    torch.manual_seed(recipe.seed)
    stage = STAGES[recipe.stage]
    run = Run(recipe, folder, data, stage.prepare(ready, workers), workers)
    try:
        stage.train(run)
        run.finish()
    except KeyboardInterrupt:
        run.record("stopped")
        raise
    except BaseException as error:
        run.record_failure(error)
        raise
    before, after = workers.from_first(
        _held_out_losses(folder, run.best) if workers.is_first else None
    )
    return RunResult(folder.path, run.step, before, after, run.best, workers.is_first)


def _held_out_losses(folder: RunFolder, best: dict[str, Any]) -> tuple[float, float]:
    """Before the first step, and at the best validation; of the same pictures."""
    entries = [
        entry for entry in read_metrics(folder.metrics.path) if entry["kind"] == "validation"
    ]
    by_step = {entry["step"]: entry["loss"] for entry in entries}
    return by_step[0], by_step[best["step"]]
