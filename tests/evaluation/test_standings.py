"""Means, ranks and comparisons from a table made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from crossfuse.evaluation import Method, ScoreTable
from crossfuse.evaluation.standings import Comparison, Standings, compute_standings
from crossfuse.metrics import Description

METRICS = [
    Description("up", "higher", (None, None), True, "A metric.", "none"),
    Description("down", "lower", (0, None), True, "Another metric.", "none"),
]
NAN = float("nan")


def method(name: str, kind: str = "folder") -> Method:
    return Method(name, kind, "nowhere", lambda scene: scene.ir)


def standings(values: dict[str, list[tuple[float, float] | None]]) -> Standings:
    """By method: (up, down) per picture, None where the picture was not scored."""
    count = len(next(iter(values.values())))
    table = ScoreTable([f"p{n:02}" for n in range(count)], list(values), ["up", "down"])
    for column, of_method in enumerate(values.values()):
        for row, scores in enumerate(of_method):
            if scores is not None:
                table.values[row, column] = scores
                table.scored[row, column] = True
    methods = [method(name, "baseline" if name.islower() else "folder") for name in values]
    return compute_standings(table, methods, METRICS)


def compared(found: Standings, first: str, second: str, metric: str) -> Comparison:
    (match,) = (
        each
        for each in found.comparisons
        if (each.first, each.second, each.metric) == (first, second, metric)
    )
    return match


def test_means_and_ranks() -> None:
    found = standings({"A": [(1, 5), (3, 5)], "B": [(4, 9), (4, 1)], "rule": [(0, 6), (0, 6)]})
    a, b, rule = found.methods
    assert (a.cells["up"].mean, a.cells["up"].std, a.cells["up"].rank) == (2, 1, 2)
    assert (a.cells["down"].mean, a.cells["down"].rank) == (5, 1.5)
    assert [each.mean_rank for each in (a, b, rule)] == [1.75, 1.25, 3]
    np.testing.assert_array_equal(found.picture_ranks, [[1.5, 2, 2.5], [2, 1, 3]])


def test_a_method_that_lost_its_hard_picture_gains_no_rank_by_it() -> None:
    found = standings({"A": [(9, 0), None], "B": [(9.5, 0), (1, 0)], "rule": [(8, 0), (0, 0)]})
    a, b, _ = found.methods
    assert (a.scored, a.failed, a.cells["up"].mean) == (1, 1, 9)
    assert (b.cells["up"].mean, b.cells["up"].rank, a.cells["up"].rank) == (5.25, 1, 2)
    assert found.ranked_pictures == {"up": 1, "down": 1}


def test_undefined_values_are_counted_and_not_averaged() -> None:
    found = standings({"A": [(1, NAN), (2, NAN)], "rule": [(3, 1), (4, NAN)]})
    cell = found.methods[0].cells["down"]
    assert (cell.mean, cell.interval, cell.rank) == (None, None, None)
    assert (cell.defined, cell.undefined) == (0, 2)
    other = found.methods[1].cells["down"]
    assert (other.mean, other.defined, other.undefined) == (1, 1, 1)
    comparison = compared(found, "A", "rule", "down")
    assert (comparison.pictures, comparison.difference, comparison.p) == (0, None, None)


def test_comparisons_say_which_method_is_better() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(0, 0.1, (40, 2)).tolist()
    found = standings(
        {
            "A": [(2 + up, 2 + down) for up, down in noise],
            "B": [(1 + down, 1 + up) for up, down in noise],
            "rule": [(2 + up, 2 + down) for up, down in noise],
            "other": [(0, 0) for _ in noise],
        }
    )
    assert compared(found, "A", "B", "up").better == "A"
    assert compared(found, "A", "B", "down").better == "B"
    same = compared(found, "A", "rule", "up")
    assert (same.better, same.difference, same.p, same.p_adjusted) == (None, 0, 1, 1)
    up = compared(found, "A", "B", "up")
    assert up.interval is not None
    assert up.interval[0] < 1 < up.interval[1]
    assert up.p == up.p_adjusted == pytest.approx(1e-4, rel=1e-3)
    # Two baselines are nobody's question: 5 of the 6 pairs, 2 metrics each.
    assert len(found.comparisons) == 10


def test_four_pictures_can_never_show_a_difference() -> None:
    found = standings({"A": [(2, 2)] * 4, "rule": [(1, 1)] * 4})
    comparison = compared(found, "A", "rule", "up")
    assert comparison.p == 0.125
    assert comparison.better is None
