"""Which held-out metrics are known, and which direction is better."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import UnknownName
from crossfuse.metrics import PROFILES, describe

_DIRECTIONS = {each.name: each.direction for profile in PROFILES for each in describe(profile)}
# What a network trained to match a teacher or its own input is measured by.
_DIRECTIONS["loss"] = "lower"


def check_metric(field: str, name: str) -> None:
    """Refuse a metric whose direction nobody knows."""
    if name not in _DIRECTIONS:
        raise UnknownName(field, name, _DIRECTIONS)


def higher_is_better(metrics: Sequence[str]) -> NDArray[np.bool_]:
    """For each of the metrics."""
    return np.array([_DIRECTIONS[metric] == "higher" for metric in metrics], dtype=bool)


def arrow(metric: str) -> str:
    """Up where higher is better, else down."""
    return "↑" if _DIRECTIONS[metric] == "higher" else "↓"


def direction_words(metric: str) -> str:
    """For pictures, whose font has no arrows."""
    return f"{_DIRECTIONS[metric]} is better"
