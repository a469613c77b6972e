"""Which pictures a report shows: the best and worst of every method first."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice, zip_longest

import numpy as np
from numpy.typing import NDArray

from crossfuse.evaluation.scoring import Evaluation

Numbers = NDArray[np.float64]

# Best and worst pictures of each method, before the extremes of single metrics have their turn.
FIRST = 8


def cases_worth_showing(evaluation: Evaluation) -> list[int]:
    """Rows of the table, most worth showing first; every picture that some method was scored on.

    First the worst and best pictures of each method by mean rank, then its worst and best by each
    metric, then the rest by mean rank.
    """
    table = evaluation.table
    own = [row for row, method in enumerate(evaluation.methods) if not method.is_baseline]
    by_rank = [_extremes(evaluation.standings.picture_ranks[:, method]) for method in own]
    by_metric = []
    for column, description in enumerate(evaluation.descriptions):
        sign = -1 if description.direction == "higher" else 1
        by_metric += [_extremes(sign * table.values[:, method, column])[:2] for method in own]
    anything = np.flatnonzero(table.scored.any(axis=1)).tolist()
    order = chain(
        _in_turn(rows[:FIRST] for rows in by_rank),
        _in_turn(by_metric),
        _in_turn(rows[FIRST:] for rows in by_rank),
        anything,
    )
    return list(dict.fromkeys(order))


def _extremes(badness: Numbers) -> list[int]:
    """Worst, best, second worst, second best and so on; NaN left out."""
    known = np.flatnonzero(np.isfinite(badness))
    best_first = known[np.argsort(badness[known], kind="stable")].tolist()
    alternating = chain.from_iterable(zip(reversed(best_first), best_first, strict=True))
    return list(islice(dict.fromkeys(alternating), len(best_first)))


def _in_turn(queues: Iterable[list[int]]) -> Iterator[int]:
    """One of each queue, then the next of each."""
    for row in chain.from_iterable(zip_longest(*queues)):
        if row is not None:
            yield row
