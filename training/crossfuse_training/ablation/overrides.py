"""`key=value` words of the command line: settings for all runs, or other seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from crossfuse.errors import InvalidInput
from crossfuse_training.ablation.settings import flattened
from crossfuse_training.ablation.study import Study, read_study
from crossfuse_training.recipe_reader import apply_overrides

SEEDS = "seeds"


def read_overridden(path: Path, words: Sequence[str]) -> tuple[Study, dict[str, Any]]:
    """The study, with other seeds if a word gives them, and the settings that the others give."""
    study = read_study(path)
    settings = flattened(apply_overrides({}, words))
    for key in ("seed", "name"):
        if key in settings:
            raise InvalidInput(
                "override", f"{key}={settings[key]}", f"{SEEDS}=[...]; runs have their own {key}"
            )
    if SEEDS in settings:
        seeds = settings.pop(SEEDS)
        if not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds):
            raise InvalidInput(SEEDS, repr(seeds), "a list of whole numbers, such as [1, 2, 3]")
        study = replace(study, seeds=tuple(seeds))
    return study, settings
