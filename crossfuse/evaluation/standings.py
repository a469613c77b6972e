"""From a table of scores to what reports print: means, intervals, ranks, comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from crossfuse.evaluation.methods import Method
from crossfuse.evaluation.ranks import mean_over_metrics, ranks
from crossfuse.evaluation.statistics import (
    SIGNIFICANCE,
    Interval,
    bootstrap_intervals,
    known,
    known_interval,
    sign_flip_test,
)
from crossfuse.evaluation.table import ScoreTable
from crossfuse.metrics import Description, summarize


@dataclass(frozen=True)
class Cell:
    """One metric of one method."""

    mean: float | None
    """Over the pictures of this method on which the metric is defined; None where none is."""
    std: float | None
    interval: Interval | None
    """Of the mean; None below two values."""
    defined: int
    undefined: int
    rank: float | None
    """Among the methods, on the pictures on which all of them are defined."""


@dataclass(frozen=True)
class Standing:
    """One method over all pictures."""

    method: Method
    scored: int
    failed: int
    cells: dict[str, Cell]
    mean_rank: float | None
    """Mean of the ranks over all metrics."""


@dataclass(frozen=True)
class Comparison:
    """Two methods on one metric, picture by picture."""

    first: str
    second: str
    metric: str
    pictures: int
    difference: float | None
    """Mean of first - second."""
    interval: Interval | None
    p: float | None
    p_adjusted: float | None
    """Corrected for all comparisons of the evaluation."""
    better: str | None
    """The better method where the adjusted p is below 0.05."""


@dataclass(frozen=True, eq=False)
class Standings:
    """Everything that is computed from the scores."""

    methods: list[Standing]
    ranked_pictures: dict[str, int]
    """By metric: how many pictures the ranks rest on."""
    comparisons: list[Comparison]
    picture_ranks: NDArray[np.float64]
    """images x methods: the mean rank of a method on one picture; NaN where not scored."""


def compute_standings(
    table: ScoreTable, methods: Sequence[Method], descriptions: Sequence[Description]
) -> Standings:
    """All of it; `methods` and `descriptions` are in the order of the table."""
    higher = np.array([description.direction == "higher" for description in descriptions])
    of_metrics, ranked = _ranks_of_means(table, higher)
    mean_ranks = mean_over_metrics(of_metrics)
    pictures, rows, columns = table.values.shape
    intervals = bootstrap_intervals(table.values.reshape(pictures, -1)).reshape(2, rows, columns)
    standings = []
    for row, method in enumerate(methods):
        cells = {}
        for column, metric in enumerate(table.metrics):
            summary = summarize(table.values[table.scored[:, row], row, column])
            cells[metric] = Cell(
                mean=known(summary.mean),
                std=known(summary.std),
                interval=known_interval(intervals[:, row, column]),
                defined=summary.defined,
                undefined=summary.undefined,
                rank=known(of_metrics[row, column]),
            )
        scored = int(table.scored[:, row].sum())
        standings.append(Standing(method, scored, pictures - scored, cells, known(mean_ranks[row])))
    return Standings(
        standings,
        dict(zip(table.metrics, ranked.tolist(), strict=True)),
        _compare(table, methods, higher),
        mean_over_metrics(ranks(table.values, higher)),
    )


def _ranks_of_means(
    table: ScoreTable, higher: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Ranks as methods x metrics, and the pictures per metric they rest on.

    A method that lost its hard pictures must not gain by it, so only pictures count that every
    method has; a method that has none at all is left out.
    """
    active = np.asarray(table.scored.any(axis=0))
    shared = np.isfinite(table.values[:, active]).sum(axis=1) == max(active.sum(), 1)
    count = np.asarray(shared.sum(axis=0), np.int64)
    total = np.where(shared[:, None], table.values, 0).sum(axis=0)
    means = np.full(total.shape, np.nan)
    np.divide(total, count, out=means, where=active[:, None] & (count > 0))
    return ranks(means, higher), count


def _compare(
    table: ScoreTable, methods: Sequence[Method], higher: NDArray[np.bool_]
) -> list[Comparison]:
    """Every two methods but two baselines."""
    pairs = [
        (first, second)
        for first, second in combinations(range(len(methods)), 2)
        if not (methods[first].is_baseline and methods[second].is_baseline)
    ]
    differences = np.concatenate(
        [table.values[:, first] - table.values[:, second] for first, second in pairs], axis=1
    )
    intervals = bootstrap_intervals(differences)
    test = sign_flip_test(differences)
    comparisons = []
    for number, (first, second) in enumerate(pairs):
        names = methods[first].name, methods[second].name
        for offset, metric in enumerate(table.metrics):
            column = number * len(table.metrics) + offset
            summary = summarize(differences[:, column])
            better = None
            if test.adjusted[column] < SIGNIFICANCE:
                better = names[0] if (summary.mean > 0) == higher[offset] else names[1]
            comparisons.append(
                Comparison(
                    *names,
                    metric,
                    summary.defined,
                    known(summary.mean),
                    known_interval(intervals[:, column]),
                    known(test.p[column]),
                    known(test.adjusted[column]),
                    better,
                )
            )
    return comparisons
