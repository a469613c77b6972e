"""What the rows of `bench serve` say together: the knee, and the rates that keep a budget."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from crossfuse_bench.percentiles import least_samples
from crossfuse_bench.rows import Row

BUDGETS_MS = (33.3, 16.7)
ENOUGH = 0.95
"""Share of the best throughput that makes the knee."""
LOST = 0.01
"""Share of failed and dropped frames that no budget allows: they are late."""


def verdict(row: Row, budget: float) -> str:
    """Whether p99 is within a budget: `kept`, `broken`, or `undecided` with too few calls.

    Failed and dropped frames count as late: more than 1 % of them break any budget.
    """
    if is_hopeless(row, budget):
        return "broken"
    if _lost(row) > LOST and _calls(row) >= least_samples(99):
        return "broken"
    if row["p99"] is None:
        return "undecided"
    return "kept" if row["p99"] <= budget else "broken"


def is_hopeless(row: Row, budget: float) -> bool:
    """Whether even few calls tell that more of them would break the budget.

    They do where a lower percentile is above it with its whole interval.
    """
    if _lost(row) > 10 * LOST:
        return True
    intervals = row["intervals"]
    return any(intervals[name][0] > budget for name in ("p50", "p90") if name in intervals)


def best(rows: Sequence[Row]) -> float:
    """The highest throughput among rows, or 1."""
    return max(float(row["throughput"]) for row in rows) or 1.0


def knee(closed: Sequence[Row]) -> tuple[int, str]:
    """The least concurrency that comes near the best throughput, and a sentence."""
    if not any(row["throughput"] for row in closed):
        return closed[0]["concurrency"], "Knee: no call was answered"
    enough = [row for row in closed if row["throughput"] >= ENOUGH * best(closed)]
    found = min(enough, key=lambda row: int(row["concurrency"]))
    if len(closed) == 1:
        return found["concurrency"], "Knee: not to be told from one concurrency"
    return found["concurrency"], (
        f"Knee: concurrency {found['concurrency']} gives {found['throughput']:.4g}/s, at least "
        f"{ENOUGH:.0%} of the best ({best(closed):.4g}/s)"
    )


def budget_of(rows: Sequence[Row], budget: float) -> dict[str, Any]:
    """What rows at constant rates say of one budget.

    The highest rate that keeps it counts only below the lowest one that breaks it.
    """
    verdicts: dict[str, list[float]] = {"kept": [], "broken": [], "undecided": []}
    for row in rows:
        verdicts[verdict(row, budget)].append(row["rate"])
    broken = min(verdicts["broken"], default=None)
    kept = [rate for rate in verdicts["kept"] if broken is None or rate < broken]
    return {
        "highest_rate": max(kept, default=None),
        "lowest_broken": broken,
        **{name: sorted(set(rates)) for name, rates in verdicts.items()},
    }


def budget_sentence(budget: float, found: dict[str, Any], what: str) -> str:
    """The same in words."""
    highest, broken = found["highest_rate"], found["lowest_broken"]
    parts = ["no rate is known to keep it"]
    if highest is not None:
        parts = [f"{highest:.4g}/s is the highest rate that keeps it"]
    if broken is not None:
        parts.append(f"{broken:.4g}/s is the lowest that breaks it")
    unsure = [rate for rate in found["undecided"] if broken is None or rate < broken]
    if unsure and max(unsure) > (highest or 0.0):
        parts.append(f"too few calls to tell at {max(unsure):.4g}/s")
    return f"p99 within {budget:g} ms, {what} at a constant rate: {'; '.join(parts)}"


def residual_sentence(rows: Sequence[Row]) -> str:
    """How much no phase of the server explains: of its own total, and of what callers saw."""
    answered = [row for row in rows if row["phase_residual"] is not None]
    if not answered:
        return "Phases: no call was answered"
    residual = max(row["phase_residual"] for row in answered)
    outside = [row["phases"]["outside the server"] / row["mean"] for row in answered]
    return (
        f"Phases: decode, queue, infer and encode leave at most {residual:.1%} of the server's "
        f"total unexplained (residual), whose marks leave no gap; {min(outside):.0%} to "
        f"{max(outside):.0%} of the latency that callers saw is outside of it (client, gRPC, "
        "network)"
    )


def _lost(row: Row) -> float:
    calls = _calls(row)
    return (calls - int(row["n"])) / calls


def _calls(row: Row) -> int:
    failed = sum(row["failures"].values()) + sum(row["dropped"].values())
    return max(1, int(row["n"]) + int(failed))
