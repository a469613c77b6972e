"""`crossfuse bench compare`: whether the second of two reports is slower, and how sure that is.

Each block of calls is divided by a fixed piece of work that was timed right before and after it, in
the same process: pairs that saw the same machine. The ratio of two reports gets its 99 % interval
by resampling processes, and blocks within them. A row is slower when the interval lies above 1 and
the ratio above the threshold. Rows without blocks, those of servers, are compared by the intervals
of their medians. What was not compared is said, and that two reports are of different machines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse_bench.report.cells import machine_name

RESAMPLES = 2000
OUTSIDE = 0.01
LEAST_BLOCKS = 8
"""Of each report: the extremes of fewer leave out the median more often than that."""
SAME_ROW = (
    "name", "kind", "size", "batch", "threads", "precision", "device", "mode", "encoding",
    "arrivals", "concurrency", "launch",
)  # fmt: skip

Row = Mapping[str, Any]
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
    found = [
        _compared(row, other, threshold, times=times)
        for row, other, reason in _pairs(before, after)
        if not reason
    ]
    if not found:
        reasons = dict.fromkeys(reason for *_, reason in _pairs(before, after))
        received = f"no row that can be compared ({'; '.join(reasons)})"
        raise InvalidInput("A, B", received, "reports of the same measurements")
    return found


def remarks(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What a verdict over these two leaves out."""
    names = [machine_name(report["machine"]) for report in (before, after)]
    missing = [f"{_named(row)} ({reason})" for row, _, reason in _pairs(before, after) if reason]
    return [
        *[f"The machines differ: {names[0]}; {names[1]}. Times say nothing of the build, ratios "
          "less than on one machine"] * (names[0] != names[1]),
        *[f"Not compared, {len(missing)} rows of A: {'; '.join(missing)}"] * bool(missing),
    ]  # fmt: skip


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


def as_json(found: Sequence[Comparison], said: Sequence[str]) -> dict[str, Any]:
    """The same for programs, with the remarks."""
    slower = sum(each.verdict == "slower" for each in found)
    return {"slower": slower, "rows": [asdict(each) for each in found], "remarks": list(said)}


def _pairs(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[Row, Row, str]]:
    """Measured rows of the first report, those of the second, and what is in the way."""
    # Rates that a search tries follow from how fast it found the server, and some it tries twice.
    others = {_key(row): row for row in after["rows"] if not row.get("search")}
    pairs = [
        (row, others.get(_key(row), {}))
        for row in before["rows"]
        if row["measured"] and row["kind"] != "rival" and not row.get("search")
    ]
    return [(row, other, _obstacle(row, other)) for row, other in pairs]


def _obstacle(row: Row, other: Row) -> str:
    """Why two rows cannot be compared; empty where they can."""
    if not other:
        return "B has no such row"
    if not other["measured"]:
        return f"B: {other['reason']}"
    if row.get("blocks") and other.get("blocks"):
        counts = [len(each["blocks"]) for each in (row, other)]
        few = min(counts) < LEAST_BLOCKS
        return f"{counts[0]} and {counts[1]} blocks of calls; {LEAST_BLOCKS} needed" if few else ""
    few = row["p50"] is None or other["p50"] is None
    return f"{row['n']} and {other['n']} calls are too few for a median" if few else ""


def _compared(row: Row, other: Row, threshold: float, *, times: bool) -> Comparison:
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
    return Comparison(_named(row), ratio, low, high, verdict, basis)


def _named(row: Row) -> str:
    named = [str(row[name]) for name in SAME_ROW if row.get(name) not in (None, "none")]
    return ", ".join([*named, f"{row['rate']:.4g}/s"] if "rate" in row else named)


def _key(row: Row) -> tuple[Any, ...]:
    # Rates follow from the machine where none was asked for: only equal ones are one row.
    return (*(row.get(name) for name in SAME_ROW), row.get("rate"))


def _blocks(row: Row, *, times: bool) -> list[Values]:
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
