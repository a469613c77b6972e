"""Tries out what a recipe cannot know: the largest batch, and a good learning rate."""

from __future__ import annotations

import os
import resource
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import torch

from crossfuse_training.data import Batches, Data, open_data, root_of
from crossfuse_training.optimisation import (
    LargestBatch,
    RateCurve,
    find_batch_size,
    find_learning_rate,
)
from crossfuse_training.recipe import Recipe
from crossfuse_training.stages.learning import Learning, Prepared
from crossfuse_training.stages.needs import pictures_of_teacher, with_needs
from crossfuse_training.stages.step import to_device, update
from crossfuse_training.stages.train import STAGES, train
from crossfuse_training.stages.workers import Workers, open_workers

RATE_STEPS = 100
_SHARE_OF_MEMORY = 0.8
_CEILING, _CEILING_ON_CPU = 1024, 64


def largest_batch(
    recipe: Recipe, *, data_root: Path | None, skip_bad: bool = False
) -> LargestBatch:
    """The largest batch whose training step fits into memory, by doubling it from 1.

    On a CPU up to 64, within four fifths of the memory that is free.
    """
    recipe = replace(recipe, optimiser=replace(recipe.optimiser, accumulate=1))
    with _ready(recipe, data_root, skip_bad) as (data, prepared, learning, workers):

        def trial(batch: int) -> None:
            learning.before_step(1, 1, [])
            made = _batches(recipe, data, batch, steps=1).make(0)
            update(learning.learner, prepared.forward, 1, to_device(made, workers.device), 0.0)

        on_cpu = workers.device.type == "cpu"
        return find_batch_size(
            trial,
            ceiling=_CEILING_ON_CPU if on_cpu else _CEILING,
            memory_limit=_memory_limit() if on_cpu else None,
            device=workers.device,
        )


def best_rate(recipe: Recipe, *, data_root: Path | None, skip_bad: bool = False) -> RateCurve:
    """The losses along rising learning rates, of fresh weights at the begin of the run."""
    with _ready(recipe, data_root, skip_bad) as (data, prepared, learning, workers):
        batches = _batches(recipe, data, recipe.batch, steps=RATE_STEPS).iterate()
        learning.before_step(1, 1, [])

        def step() -> float:
            batch = to_device(next(batches), workers.device)
            return update(learning.learner, prepared.forward, 1, batch, 0.0)["total"]

        optimiser = learning.learner.optimiser
        return find_learning_rate(learning.network, optimiser, step, steps=RATE_STEPS)


@contextmanager
def _ready(
    recipe: Recipe, data_root: Path | None, skip_bad: bool
) -> Iterator[tuple[Data, Prepared, Learning, Workers]]:
    """What a run of the recipe would begin with; nothing is kept of it."""
    torch.set_num_threads(recipe.threads)
    workers = open_workers()
    with tempfile.TemporaryDirectory() as scratch:

        def train_first(need: Recipe, below: Path) -> None:
            train(need, below, data_root=data_root, skip_bad=skip_bad)

        ready = with_needs(recipe, Path(scratch), train_first)
        teacher = pictures_of_teacher(ready)
        root = root_of(data_root)
        data = open_data(recipe.data, root, skip_bad=skip_bad, teacher=teacher, seed=recipe.seed)
        torch.manual_seed(recipe.seed)
        prepared = STAGES[recipe.stage].prepare(ready, workers)
        yield data, prepared, Learning(ready, prepared, workers, Path(scratch) / "bad"), workers


def _batches(recipe: Recipe, data: Data, batch: int, *, steps: int) -> Batches:
    return Batches(
        data, recipe.augment, recipe.curriculum, seed=recipe.seed, batch=batch, steps=steps
    )


def _memory_limit() -> int:
    """Bytes that this process may come to hold: what it holds, and most of what is free."""
    held = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return held + int(_SHARE_OF_MEMORY * free)
