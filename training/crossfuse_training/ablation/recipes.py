"""Every run's recipe, checked before the first one starts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from crossfuse.errors import InvalidInput
from crossfuse_training.ablation.expansion import PlannedRun
from crossfuse_training.ablation.settings import with_checkpoints, words
from crossfuse_training.recipe import Recipe, read_recipe


def check_recipes(runs: Iterable[PlannedRun]) -> dict[str, Recipe]:
    """The recipe of each run that is not open, by id; the first fault names its run."""
    recipes = {}
    for run in runs:
        if not run.is_open:
            settings = with_checkpoints(run.settings, {name: Path(name) for name in run.needs})
            try:
                recipes[run.id] = read_recipe(run.recipe, words(settings))
            except InvalidInput as error:
                field = f"run {run.id}: {error.field}"
                raise InvalidInput(field, error.received, error.valid) from None
    return recipes
