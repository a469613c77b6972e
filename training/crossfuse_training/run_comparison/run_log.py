"""The lines of `metrics.jsonl` as curves over the pairs of pictures seen.

Each line stands for itself and says its own step; where two say the same one, the later counts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse_training.runs.metrics_log import read_metrics

TRAINING_LOSS = "training loss"
HELD_OUT_LOSS = "held-out loss"


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity over a run, in rising order of the pairs seen."""

    pairs_seen: NDArray[np.float64]
    values: NDArray[np.float64]

    def at(self, pairs_seen: float) -> float:
        """The value there, on the straight line between two neighbours; NaN outside."""
        return float(
            np.interp(pairs_seen, self.pairs_seen, self.values, left=math.nan, right=math.nan)
        )

    def begun(self) -> Curve:
        """Without the untrained network, whose values would flatten all others in a picture."""
        begun = self.pairs_seen > 0
        return Curve(self.pairs_seen[begun], self.values[begun])

    def thinned(self, points: int) -> Curve:
        """Means over `points` equal shares of the run, where it has more points than that."""
        if len(self.values) <= points:
            return self
        shares = np.array_split(np.arange(len(self.values)), points)
        seen = np.array([self.pairs_seen[share].mean() for share in shares])
        return Curve(seen, np.array([self.values[share].mean() for share in shares]))


def read_curves(path: Path) -> dict[str, Curve]:
    """Training loss, held-out loss, and each metric measured on held-out pictures on the way."""
    points: dict[str, dict[int, tuple[float, float]]] = {}
    for entry in read_metrics(path):
        try:
            step, seen = int(entry["step"]), float(entry["pairs_seen"])
            for name, value in _values(entry).items():
                if value is not None and math.isfinite(value):
                    points.setdefault(name, {})[step] = (seen, float(value))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidInput(
                str(path),
                f"a line that is no log entry ({type(error).__name__}: {error})",
                "step, pairs_seen, and total (training) or loss and metrics (validation)",
            ) from None
    curves = {}
    for name, by_step in points.items():
        seen, values = np.array([by_step[step] for step in sorted(by_step)]).T
        curves[name] = Curve(seen, values)
    return curves


def _values(entry: Mapping[str, Any]) -> dict[str, float | None]:
    if entry["kind"] == "train":
        return {TRAINING_LOSS: entry["total"]}
    if entry["kind"] == "validation":
        return {HELD_OUT_LOSS: entry["loss"], **entry.get("metrics", {})}
    return {}
