"""Held-out scores as pictures x runs x metrics, on what all runs have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.evaluation.wording import counted
from crossfuse_training.run_comparison.run_folder import Run


@dataclass(frozen=True, eq=False)
class Scores:
    """Values of the common pictures; NaN where a metric is undefined on a picture."""

    pictures: list[str]
    runs: list[str]
    metrics: list[str]
    values: NDArray[np.float64]
    notes: list[str]
    """What a reader must know about how they became comparable."""

    @property
    def means(self) -> NDArray[np.float64]:
        """Runs x metrics, over the pictures on which the metric is defined for every run."""
        shared = np.isfinite(self.values).all(axis=1, keepdims=True)
        count = shared.sum(axis=0)
        total = np.where(shared, self.values, 0).sum(axis=0)
        means = np.full(total.shape, np.nan)
        np.divide(total, count, out=means, where=count > 0)
        return means


def common_scores(runs: Sequence[Run]) -> Scores:
    """Scores on the pictures and metrics that all runs have; refused where there is none."""
    pictures = _common([list(run.per_image) for run in runs])
    metrics = _common([run.metrics for run in runs])
    for what, common in (("held-out pictures", pictures), ("held-out metrics", metrics)):
        if not common:
            raise InvalidInput(
                what,
                f"none that {', '.join(run.name for run in runs)} have in common",
                "runs that were measured on the same ones",
            )
    notes = []
    for run in runs:
        left_out = len(run.per_image) - len(pictures)
        if left_out:
            notes.append(
                f"{run.name} was measured on {counted(len(run.per_image), 'picture')}; "
                f"{left_out} of them are not counted, because other runs lack them: "
                f"compared are the {len(pictures)} common ones."
            )
        missing = [metric for metric in run.metrics if metric not in metrics]
        if missing:
            notes.append(f"{run.name} alone has {', '.join(missing)}: not compared.")
    notes += _different_files(runs)
    values = np.full((len(pictures), len(runs), len(metrics)), np.nan)
    for column, run in enumerate(runs):
        for row, picture in enumerate(pictures):
            scores = run.per_image[picture]
            for depth, metric in enumerate(metrics):
                value = scores.get(metric)
                if value is not None:
                    values[row, column, depth] = value
    names = [run.name for run in runs]
    return Scores(pictures, names, metrics, values, notes)


def _common(lists: Sequence[list[str]]) -> list[str]:
    """Names that are in all lists, in the order of the first."""
    others = [set(names) for names in lists[1:]]
    return [name for name in lists[0] if all(name in other for other in others)]


def _different_files(runs: Sequence[Run]) -> list[str]:
    """Runs with the same names of pictures whose files are not the same."""
    first = runs[0]
    notes = []
    for run in runs[1:]:
        if set(run.per_image) != set(first.per_image):
            continue
        hashes = run.held_out_hashes
        differing = [
            name
            for name, value in first.held_out_hashes.items()
            if hashes.get(name, value) != value
        ]
        if differing:
            notes.append(
                f"Held-out files of {', '.join(differing)} differ between {first.name} and "
                f"{run.name} though their names are equal: the figures are not comparable."
            )
    return notes
