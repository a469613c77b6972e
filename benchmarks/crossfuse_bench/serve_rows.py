"""The rows of `bench serve`: loads on a server, and what client and server saw of each."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from crossfuse.client import ModelInfo, Timings
from crossfuse_bench.rows import Row, latency_fields, run_to_run, stable_in_time
from crossfuse_bench.served_load import PHASES, Load, Served, plan
from crossfuse_bench.served_runs import RUNS, LoaderSets, one_after_the_other
from crossfuse_bench.server_address import ServerAddress
from crossfuse_bench.server_statistics import Counts, ServerStatistics

Progress = Callable[[str], None]


class ServeRows:
    """Measures rows of one server, one model and one size of pictures."""

    def __init__(
        self,
        server: ServerAddress,
        info: ModelInfo,
        size: tuple[int, int],
        loaders: LoaderSets,
        statistics: ServerStatistics,
        quality: Mapping[str, Row],
        progress: Progress,
    ) -> None:
        height, width = size
        self._load = functools.partial(Load, server, info.reference, height, width)
        self._loaders, self._statistics, self._progress = loaders, statistics, progress
        self._quality = quality
        self._same = {"name": info.name, "measured": True, "size": f"{height}x{width}"}

    def closed(self, callers: int, encoding: str, seconds: float) -> Row:
        """Service time at a concurrency."""
        self._progress(f"closed loop, {callers} callers, {encoding}")
        return {
            **self._same,
            "kind": "closed loop",
            "label": "service time",
            "mode": "unary",
            "concurrency": callers,
            **self._measured(self._load(seconds, encoding=encoding, callers=callers)),
        }

    def open(
        self,
        mode: str,
        arrivals: str,
        rate: float,
        encoding: str,
        seconds: float,
        runs: int = RUNS,
    ) -> Row:
        """Latency under a rate that does not wait."""
        self._progress(
            f"open loop, {mode}, {arrivals} {rate:.4g}/s for {seconds:.3g} s, {encoding}"
        )
        planned = plan(arrivals, rate, seconds)
        load = self._load(seconds, encoding=encoding, planned=planned, stream=mode == "stream")
        return {
            **self._same,
            "kind": "stream" if mode == "stream" else "open loop",
            "label": "latency from the planned start",
            "mode": mode,
            "arrivals": arrivals,
            "rate": rate,
            **self._measured(load, runs),
        }

    def _measured(self, load: Load, runs: int = RUNS) -> Row:
        before = self._statistics.read()
        each = self._loaders.run(load, runs)
        served = one_after_the_other(each, load.seconds / runs)
        answered = len(served.latencies)
        after = before and self._statistics.read(least=before.succeeded + answered)
        row = {
            "encoding": load.encoding,
            "quality": self._quality[load.encoding],
            **latency_fields(served.latencies),
            "stable": stable_in_time(served.latencies, served.starts, load.planned),
            **run_to_run([run.latencies for run in each]),
            "throughput": answered / served.seconds,
            "failures": dict(served.failures),
            "dropped": dict(served.dropped),
            **_phases(served.latencies, served.timings),
            **_own(before, after, served),
        }
        if load.planned:
            row["achieved_rate"] = len(load.planned) / served.seconds
            row["lateness_ms"] = float(np.quantile(served.lateness, 0.99))
        return row


def _own(before: Counts | None, after: Counts | None, served: Served) -> Row:
    """What the server counted meanwhile."""
    if before is None or after is None:
        return {}
    return {"server": after.since(before, served.seconds)}


def _phases(latencies: Sequence[float], timings: Sequence[Timings]) -> Row:
    """Means in ms that add up to the mean latency, and what no phase of the server explains."""
    if not timings:
        return {"phases": {}, "phase_residual": None}
    means = {
        name: float(np.mean([getattr(timing, f"{name}_us") for timing in timings])) / 1e3
        for name in (*PHASES, "total")
    }
    total = means.pop("total")
    between = total - sum(means.values())
    outside = float(np.mean(latencies)) - total
    return {
        "phases": means | {"between (residual)": between, "outside the server": outside},
        "server_total_ms": total,
        "phase_residual": between / total if total else 0.0,
    }
