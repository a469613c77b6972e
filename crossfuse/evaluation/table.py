"""All scores of an evaluation as one array, and what went wrong per file."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from crossfuse.metrics import ALL_METHODS, PairScores


class Finding(NamedTuple):
    """Something that is wrong with one picture."""

    image: str
    method: str | None
    """None where a source picture is the cause."""
    reason: str


class Problem(NamedTuple):
    """A finding, and what became of the picture."""

    image: str
    method: str | None
    reason: str
    scored: bool
    """True where the metrics that are defined were computed all the same."""


class ScoreTable:
    """Scores of images x methods x metrics: 8 bytes each, the only thing that grows with images."""

    def __init__(
        self, images: Sequence[str], methods: Sequence[str], metrics: Sequence[str]
    ) -> None:
        self.images = list(images)
        self.methods = list(methods)
        self.metrics = list(metrics)
        self.values = np.full((len(images), len(methods), len(metrics)), np.nan)
        """NaN where a metric is undefined or the picture was not scored."""
        self.scored = np.zeros((len(images), len(methods)), bool)

    def add(self, row: int, scores: PairScores) -> list[Finding]:
        """Enter the scores of one image; returns what failed."""
        for method, values in scores.values.items():
            column = self.methods.index(method)
            numbers = np.array([values[metric] for metric in self.metrics])
            self.values[row, column] = np.where(np.isfinite(numbers), numbers, np.nan)
            self.scored[row, column] = True
        return [
            Finding(scores.image, None if method == ALL_METHODS else method, reason)
            for method, reason in scores.failures.items()
        ]

    def problems(self, findings: Iterable[Finding]) -> list[Problem]:
        """Sorted by image and method, when all scores are there."""
        by_name = {image: row for row, image in enumerate(self.images)}
        problems = []
        for finding in findings:
            scored = self.scored[by_name[finding.image]]
            if finding.method is not None:
                scored = scored[self.methods.index(finding.method)]
            problems.append(Problem(*finding, scored=bool(np.any(scored))))
        return sorted(problems, key=lambda each: (each.image, each.method or "", each.reason))

    def undefined(self) -> list[tuple[str, str, list[str]]]:
        """Image, method and metrics, wherever a scored picture has undefined values."""
        gaps = np.isnan(self.values) & self.scored[..., None]
        return [
            (
                self.images[row],
                self.methods[column],
                [self.metrics[metric] for metric in np.flatnonzero(gaps[row, column])],
            )
            for row, column in np.argwhere(gaps.any(axis=-1))
        ]
