"""What a stage needs from another: encoders for fusion, a teacher for distillation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossfuse_training.checkpoint import RECORD_NAME
from crossfuse_training.recipe import NEEDS, RECIPE_SUFFIX, Recipe, read_recipe
from crossfuse_training.runs.folder import RunFolder

_MODALITIES = {"ir_encoder": "ir", "vis_encoder": "vis"}


def with_needs(
    recipe: Recipe, output: Path, train_first: Callable[[Recipe, Path], object]
) -> Recipe:
    """The recipe with a checkpoint in place of each recipe that it needs trained first.

    Such a recipe is trained below the run, in needs/; an encoder's for the modality it is for.
    """
    ready = recipe
    for section, key in NEEDS:
        table: Any = getattr(ready, section)
        name = getattr(table, key) if table is not None else ""
        if name.endswith(RECIPE_SUFFIX):
            folder = RunFolder(output).needs / key
            modality = _MODALITIES.get(key)
            words = [] if modality is None else [f"network.modality={modality}"]
            train_first(read_recipe(Path(name), words), folder)
            table = replace(table, **{key: str(RunFolder(folder).best)})
            ready = replace(ready, **{section: table})
    return ready


def pictures_of_teacher(recipe: Recipe) -> Path | None:
    """The teacher's folder of fused pictures; None where the teacher is a network, or none."""
    teacher = "" if recipe.distill is None else recipe.distill.teacher
    is_network = teacher.endswith(RECIPE_SUFFIX) or (Path(teacher) / RECORD_NAME).is_file()
    return None if recipe.distill is None or is_network else Path(teacher)
