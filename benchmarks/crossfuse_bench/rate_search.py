"""The highest rate that keeps a budget, found by open loops at constant rates.

A rate is tried with few calls first; where those leave hope, with as many as a p99 needs. Between
the highest rate that kept the budget and the lowest that broke it the middle is tried next, until
the two are near each other or the time is over.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from crossfuse_bench.percentiles import least_samples
from crossfuse_bench.rows import Row
from crossfuse_bench.serve_conclusions import LOST, budget_of, is_hopeless

FEW = 60
ENOUGH, ENOUGH_SECONDS = math.ceil(least_samples(99) / (1 - LOST)), 3.0
"""Calls that always give a verdict; of a high rate, as many as come in some seconds."""
NEAR = 1.05
"""Ratio of broken to kept that ends the search."""

Probe = Callable[[float, int], Row]
"""A row at a rate, of so many calls."""


def search(
    probe: Probe, fastest: float, budgets: Sequence[float], rows: Sequence[Row], seconds: float
) -> list[Row]:
    """The rows of all tries; `rows` are those at constant rates that are there already.

    fastest: what no open loop is expected to keep, the best rate of the closed loops. The budgets
    share the time; a try of one tells of the others as well.
    """
    tried: list[Row] = []
    begun = time.monotonic()
    for number, budget in enumerate(budgets, 1):
        end = begun + seconds * number / len(budgets)
        while (rate := _next_rate([*rows, *tried], budget, fastest)) is not None:
            if time.monotonic() + FEW / rate > end:
                break
            tried.append(probe(rate, FEW))
            if is_hopeless(tried[-1], budget):
                continue
            calls = max(ENOUGH, round(ENOUGH_SECONDS * rate))
            if time.monotonic() + calls / rate > end:
                break
            tried.append(probe(rate, calls))
    return tried


def _next_rate(rows: Sequence[Row], budget: float, fastest: float) -> float | None:
    """Between what was kept and what was broken; None where the two are near each other."""
    found = budget_of(rows, budget)
    kept: float | None = found["highest_rate"]
    broken: float | None = found["lowest_broken"]
    if kept is None:
        rate = (broken or fastest) / 2
        return rate if rate > fastest / 16 else None
    if broken is None:
        return max(fastest, kept) * NEAR
    return (kept + broken) / 2 if broken > NEAR * kept else None
