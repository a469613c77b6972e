"""What samples of a latency allow to be said: percentiles with intervals, or nothing.

A percentile is given only where its 95 % interval can be closed: where an order statistic exists
that lies above it with the wanted confidence. That takes 6 samples for p50, 36 for p90, 72 for p95,
368 for p99 and 3,688 for p99.9.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import MissingDependency

PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
TAIL = 0.025
"""What may lie outside the interval on either side."""
LONGEST_US = 3_600_000_000
DIGITS = 3
STABLE = 1.1
WINDOWS = 3
CURVE = (0, 1, 2, 5, *range(10, 100, 5), 97, 98, 99, 99.5, 99.9, 100)


@dataclass(frozen=True, slots=True)
class Percentile:
    """One percentile in the unit of the samples, or the reason why there is none."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def key(percentile: float) -> str:
    """`p50`, `p99`, `p99_9`: the name in reports."""
    return f"p{percentile:g}".replace(".", "_")


def least_samples(percentile: float) -> int:
    """From how many samples on its interval can be closed on both sides."""
    share = percentile / 100
    return math.ceil(math.log(TAIL) / math.log(max(share, 1 - share)))


def percentile_of(samples: Sequence[float] | NDArray[np.float64], percentile: float) -> Percentile:
    """A percentile with its 95 % interval by order statistics, which assume no distribution."""
    needed = least_samples(percentile)
    if len(samples) < needed:
        return Percentile(
            None, reason=f"{len(samples)} samples; {key(percentile)} needs at least {needed}"
        )
    ordered = np.sort(np.asarray(samples, float))
    low, high = interval_ranks(len(ordered), percentile / 100)
    rank = math.ceil(percentile / 100 * len(ordered))
    return Percentile(
        float(ordered[rank - 1]), low=float(ordered[low - 1]), high=float(ordered[high - 1])
    )


def interval_ranks(count: int, share: float) -> tuple[int, int]:
    """Ranks, from 1, of the order statistics that hold a quantile between them."""
    below = np.arange(count + 1)
    factorials = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, count + 1)))])
    chances = factorials[count] - factorials[below] - factorials[count - below]
    chances += below * math.log(share) + (count - below) * math.log1p(-share)
    # cumulative[k]: the chance that at most k samples lie below the quantile
    cumulative = np.cumsum(np.exp(chances))
    low = int(np.searchsorted(cumulative, TAIL, side="right"))
    high = int(np.searchsorted(cumulative, 1 - TAIL)) + 1
    return max(low, 1), min(high, count)


def is_stable(latencies: Sequence[float], rates: Sequence[float]) -> bool:
    """Whether the last three windows agree within 10 %, in latency and in throughput."""
    if min(len(latencies), len(rates)) < WINDOWS:
        return False
    return all(
        max(values[-WINDOWS:]) <= STABLE * min(values[-WINDOWS:]) for values in (latencies, rates)
    )


def histogram(milliseconds: Sequence[float]) -> str:
    """An HdrHistogram of microseconds, three digits, in its interchange encoding."""
    recorded = _hdr().HdrHistogram(1, LONGEST_US, DIGITS)
    for value in milliseconds:
        recorded.record_value(max(1, min(LONGEST_US, round(1e3 * value))))
    encoded: bytes = recorded.encode()
    return encoded.decode("ascii")


def merged(histograms: Sequence[str]) -> Any:
    """One HdrHistogram of several encoded ones."""
    whole = _hdr().HdrHistogram(1, LONGEST_US, DIGITS)
    for encoded in histograms:
        whole.decode_and_add(encoded)
    return whole


def curve(milliseconds: Sequence[float]) -> list[list[float]]:
    """Points [ms, percent] of the cumulative distribution, enough to draw it."""
    values = np.quantile(np.asarray(milliseconds, float), np.array(CURVE) / 100)
    return [[round(float(x), 4), y] for x, y in zip(values, CURVE, strict=True)]


def _hdr() -> Any:
    # By name: it ships no types.
    try:
        return importlib.import_module("hdrh.histogram")
    except ImportError as error:
        raise MissingDependency("hdrhistogram", "a latency report", "bench") from error
