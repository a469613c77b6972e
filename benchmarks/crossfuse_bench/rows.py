"""Rows of a report: what was measured of one thing, as plain values for JSON."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np

from crossfuse_bench.percentiles import (
    PERCENTILES,
    WINDOWS,
    curve,
    histogram,
    is_stable,
    key,
    percentile_of,
)

Row = dict[str, Any]


def latency_fields(milliseconds: Sequence[float]) -> Row:
    """Percentiles with their intervals or reasons, extremes, the histogram and the curve, in ms."""
    found: Row = {"n": len(milliseconds), "reasons": {}, "intervals": {}}
    for percentile in PERCENTILES:
        name, value = key(percentile), percentile_of(milliseconds, percentile)
        found[name] = value.value
        if value.value is None:
            found["reasons"][name] = value.reason
        else:
            found["intervals"][name] = [value.low, value.high]
    if milliseconds:
        found |= {
            "mean": statistics.fmean(milliseconds),
            "min": min(milliseconds),
            "max": max(milliseconds),
            "histogram": histogram(milliseconds),
            "curve": curve(milliseconds),
        }
    return found


def not_measured(name: str, kind: str, reason: str, **conditions: Any) -> Row:
    """A row without a number, and why."""
    empty: Row = {key(percentile): None for percentile in PERCENTILES}
    return {
        "name": name,
        "kind": kind,
        "measured": False,
        "reason": reason,
        "n": 0,
        "throughput": None,
        "reasons": dict.fromkeys(empty, reason),
        "intervals": {},
        **empty,
        **conditions,
    }


def stability(processes: Sequence[Sequence[float]], pairs_per_call: int = 1) -> Row:
    """Three windows of calls in every process, and how far the processes lie apart.

    Each process is given as its latencies in ms, in order, of calls one after the other.
    """
    stable = bool(processes)
    for calls in processes:
        if len(calls) < WINDOWS:
            stable = False
            continue
        windows = _windows(calls)
        rates = [pairs_per_call * len(window) / sum(window) for window in windows]
        stable &= is_stable([statistics.median(window) for window in windows], rates)
    return {"stable": stable, **run_to_run(processes)}


def run_to_run(runs: Sequence[Sequence[float]]) -> Row:
    """Medians of independent runs in ms, and their standard deviation as a share of their mean."""
    medians = [statistics.median(calls) for calls in runs if calls]
    spread = None
    if len(medians) > 1:
        spread = statistics.stdev(medians) / statistics.fmean(medians)
    return {"process_medians": medians, "run_to_run": spread}


def stable_in_time(
    milliseconds: Sequence[float], starts: Sequence[float], planned: Sequence[float] = ()
) -> bool:
    """The same for calls that overlap: three equal spans of time, by the starts of the calls.

    Where calls were planned, throughput is the share of them that was answered: arrivals at random
    come unevenly, which is no fault of who answers them.
    """
    if len(milliseconds) < WINDOWS:
        return False
    every = np.asarray(planned if len(planned) else starts, float)
    ends = np.linspace(every.min(), every.max(), WINDOWS + 1)[1:-1]
    numbers = np.searchsorted(ends, np.asarray(starts))
    windows = [np.asarray(milliseconds)[numbers == number] for number in range(WINDOWS)]
    if not all(map(len, windows)):
        return False
    offered = np.bincount(np.searchsorted(ends, planned), minlength=WINDOWS) if len(planned) else 1
    rates = np.array([*map(len, windows)]) / offered
    return is_stable([float(np.median(window)) for window in windows], rates.tolist())


def _windows(calls: Sequence[float]) -> list[list[float]]:
    return [window.tolist() for window in np.array_split(np.asarray(calls, float), WINDOWS)]
