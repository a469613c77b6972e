"""`crossfuse bench compare`: whether the second of two reports is slower, and how sure that is.

Each block of calls is divided by a fixed piece of work that was timed right before and after it, in
the same process: pairs that saw the same machine. The ratio of two reports gets its 99 % interval
by resampling processes, and blocks within them. A row is slower when the interval lies above 1 and
the ratio above the threshold. Rows without blocks, those of servers, are compared by the intervals
of their medians.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput

RESAMPLES = 2000
OUTSIDE = 0.01
SAME_ROW = (
    "name", "kind", "size", "batch", "threads", "precision", "device", "mode", "encoding",
    "arrivals", "concurrency", "launch",
)  # fmt: skip

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Comparison:
    """One row of both reports; `ratio` is after over before."""

    row: str
    ratio: float
    low: float
    high: float
    verdict: str
    """slower, faster or same."""
    basis: str


def compare(
    before: Mapping[str, Any], after: Mapping[str, Any], threshold: float, *, times: bool
) -> list[Comparison]:
    """The rows that both have; a threshold of 0.1 lets 10 % pass."""
    others = {_key(row): row for row in after["rows"] if row["measured"]}
    found = []
    for row in before["rows"]:
        other = others.get(_key(row))
        if row["measured"] and row["kind"] != "rival" and other is not None and _median(row, other):
            found.append(_compared(row, other, threshold, times=times))
    if not found:
        raise InvalidInput("A, B", "no row that both have", "reports of the same measurements")
    return found


def ratio_of(
    before: Sequence[Values], after: Sequence[Values], seed: int = 0
) -> tuple[float, float, float]:
    """Ratio of the medians and its interval; each report is given as blocks of processes."""
    chance = np.random.default_rng(seed)
    first, second = (np.median(np.concatenate(list(side))) for side in (before, after))
    drawn = _resampled(after, chance) / _resampled(before, chance)
    low, high = np.quantile(drawn, (OUTSIDE / 2, 1 - OUTSIDE / 2))
    return float(second / first), float(low), float(high)


def sentence(found: Comparison) -> str:
    """One line for people."""
    return (
        f"{found.verdict.upper() if found.verdict == 'slower' else found.verdict}: {found.row}: "
        f"{found.ratio:.3f} times the time ({found.low:.3f} to {found.high:.3f}), {found.basis}"
    )


def as_json(found: Sequence[Comparison]) -> dict[str, Any]:
    """The same for programs."""
    slower = sum(each.verdict == "slower" for each in found)
    return {"slower": slower, "rows": [asdict(each) for each in found]}


def _compared(
    row: Mapping[str, Any], other: Mapping[str, Any], threshold: float, *, times: bool
) -> Comparison:
    if row.get("blocks") and other.get("blocks"):
        basis = "times" if times else "ratios to the fixed work of each run"
        ratio, low, high = ratio_of(_blocks(row, times=times), _blocks(other, times=times))
    else:
        basis = "medians of calls, times"
        (low_before, high_before), (low_after, high_after) = (
            each["intervals"]["p50"] for each in (row, other)
        )
        ratio = other["p50"] / row["p50"]
        low, high = low_after / high_before, high_after / low_before
    verdict = "same"
    if low > 1 and ratio > 1 + threshold:
        verdict = "slower"
    elif high < 1 and ratio < 1 / (1 + threshold):
        verdict = "faster"
    named = [str(row[name]) for name in SAME_ROW if row.get(name) not in (None, "none")]
    return Comparison(", ".join(named), ratio, low, high, verdict, basis)


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    # Rates follow from the machine where none was asked for: only equal ones are one row.
    return (*(row.get(name) for name in SAME_ROW), row.get("rate"))


def _median(*rows: Mapping[str, Any]) -> bool:
    return all(row.get("blocks") or row["p50"] for row in rows)


def _blocks(row: Mapping[str, Any], *, times: bool) -> list[Values]:
    """Of each process, as times or as multiples of the fixed work."""
    found: defaultdict[int, list[float]] = defaultdict(list)
    for block in row["blocks"]:
        found[block["process"]].append(block["ms"] / (1 if times else block["reference_ms"]))
    return [np.array(values) for values in found.values()]


def _resampled(processes: Sequence[Values], chance: np.random.Generator) -> Values:
    """Medians of draws with replacement of processes, then of as many blocks of each."""
    counts = np.array([len(blocks) for blocks in processes])
    table = np.array([np.resize(blocks, counts.max()) for blocks in processes])
    chosen = chance.integers(0, len(counts), (RESAMPLES, len(counts), 1))
    places = chance.integers(0, counts[chosen], (RESAMPLES, len(counts), counts.max()))
    medians: Values = np.median(table[chosen, places].reshape(RESAMPLES, -1), axis=1)
    return medians
