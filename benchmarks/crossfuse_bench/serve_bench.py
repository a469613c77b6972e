"""`crossfuse bench serve`: a server under closed and open loops, unary and streams.

Closed loops tell the service time at a concurrency. What a camera or a caller sees who does not
wait for the last answer is told by open loops alone: their latency counts from the planned start.
"""

from __future__ import annotations

import functools
import importlib.util
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossfuse.client import FusionClient, ModelInfo, Timings
from crossfuse.engines.onnx import available_cpus
from crossfuse.errors import UnknownName
from crossfuse_bench.loaders import PHASES, Load, Loaders, Served, plan
from crossfuse_bench.process import MeasuredProcess
from crossfuse_bench.report.document import Document
from crossfuse_bench.rows import Row, latency_fields, stable_in_time
from crossfuse_bench.scenes import load_scenes
from crossfuse_bench.server_overhead import start_server as start_idle_server
from crossfuse_bench.throughput import start_server

BUDGETS_MS = (33.3, 16.7)
RATE_SHARES = (0.5, 0.8)
"""Of the best rate of the closed loops; offered where no rate is given."""
ENOUGH = 0.95
"""Share of the best throughput that makes the knee."""
CAPACITY_SECONDS = 1.5
WARM_UP_CALLS = 5

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ServeBench:
    """What `bench serve` was asked for."""

    server: str
    """HOST:PORT; empty: one is started."""
    model: str
    size: tuple[int, int]
    concurrency: Sequence[int]
    rates: Sequence[float]
    arrivals: Sequence[str]
    modes: Sequence[str]
    encodings: Sequence[str]
    seconds: float
    """Of every row."""


def run_bench(asked: ServeBench, command: str, progress: Progress) -> Document:
    """Measure everything and return the report."""
    with ExitStack() as stack:
        address = asked.server
        if not address:
            progress(f"starting a server of {asked.model}")
            start = functools.partial(start_server, asked.model)
            address = stack.enter_context(MeasuredProcess(start)).address
        loaders = stack.enter_context(Loaders(available_cpus()))
        info, runtime = _warm_up(address, asked)
        bench = _Bench(asked, address, info, loaders, progress)
        rows = [
            bench.closed(callers, encoding)
            for encoding in asked.encodings
            for callers in asked.concurrency
        ]
        rates = asked.rates or [share * _best(rows) for share in RATE_SHARES]
        rows += [
            bench.open(mode, arrivals, rate, encoding)
            for encoding in asked.encodings
            for mode in asked.modes
            for arrivals in (asked.arrivals if mode == "unary" else ["constant"])
            for rate in rates
        ]
        progress("the loaders' own capacity")
        capacity = _capacity(asked, loaders)
    identity = {
        "name": info.name,
        "version": info.version,
        "precision": info.precision,
        "sha256": info.sha256,
        "provider": info.provider or "unknown",
        "runtime": runtime,
        "devices": ", ".join(info.devices),
    }
    method = {
        "scenario": "closed loop: service time at a concurrency; open loop: latency from the "
        "planned start; both with the client's own encoding and decoding",
        "inputs": load_scenes(*asked.size).source,
        "server": asked.server or "a process of its own on this machine, default settings",
        "loaders": f"{available_cpus()} processes on this machine, over gRPC",
        "seconds": asked.seconds,
    }
    extra = {"client_capacity": capacity, **_conclusions(rows, capacity)}
    return Document("serve", command, identity, method, rows, extra)


class _Bench:
    """Makes rows."""

    def __init__(
        self,
        asked: ServeBench,
        address: str,
        info: ModelInfo,
        loaders: Loaders,
        progress: Progress,
    ) -> None:
        height, width = asked.size
        self._load = functools.partial(Load, address, info.reference, height, width, asked.seconds)
        self._asked, self._loaders, self._progress = asked, loaders, progress
        self._same = {"name": info.name, "measured": True, "size": f"{height}x{width}"}

    def closed(self, callers: int, encoding: str) -> Row:
        """Service time at a concurrency."""
        self._progress(f"closed loop, {callers} callers, {encoding}")
        served = self._loaders.run(self._load(encoding=encoding, callers=callers))
        return {
            **self._same,
            "kind": "closed loop",
            "label": "service time",
            "mode": "unary",
            "encoding": encoding,
            "concurrency": callers,
            **_outcome(served),
        }

    def open(self, mode: str, arrivals: str, rate: float, encoding: str) -> Row:
        """Latency under a rate that does not wait."""
        self._progress(f"open loop, {mode}, {arrivals} {rate:.4g}/s, {encoding}")
        planned = plan(arrivals, rate, self._asked.seconds)
        served = self._loaders.run(
            self._load(encoding=encoding, planned=planned, stream=mode == "stream")
        )
        return {
            **self._same,
            "kind": "stream" if mode == "stream" else "open loop",
            "label": "latency from the planned start",
            "mode": mode,
            "encoding": encoding,
            "arrivals": arrivals,
            "rate": rate,
            "achieved_rate": len(planned) / served.seconds,
            "lateness_ms": float(np.quantile(served.lateness, 0.99)),
            **_outcome(served),
        }


def _outcome(served: Served) -> Row:
    return {
        **latency_fields(served.latencies),
        "stable": stable_in_time(served.latencies, served.starts),
        "throughput": len(served.latencies) / served.seconds,
        "failures": dict(served.failures),
        "dropped": dict(served.dropped),
        **_phases(served.latencies, served.timings),
    }


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


def _warm_up(address: str, asked: ServeBench) -> tuple[ModelInfo, str]:
    """Call until it is warm; the model as the server names it, and its runtime."""
    ir, vis = load_scenes(*asked.size, count=1).pairs[0]
    wanted = asked.model if asked.server else ""
    with FusionClient(address) as client:
        for _ in range(WARM_UP_CALLS):
            used = client.fuse_with_details(ir, vis, model=wanted or None).model
        information = client.server_info()
    for model in information.models:
        if model.reference == used:
            return model, information.runtime
    raise UnknownName("model", used, [model.reference for model in information.models])


def _capacity(asked: ServeBench, loaders: Loaders) -> dict[str, Any]:
    """What the loaders can do at most: a server whose engine does nothing, in a closed loop."""
    if importlib.util.find_spec("crossfuse_server") is None:
        return {"throughput": None, "reason": "not measured: the server is not installed here"}
    height, width = asked.size
    with MeasuredProcess(start_idle_server) as server:
        served = loaders.run(
            Load(
                server.address, "", height, width, CAPACITY_SECONDS,
                encoding=asked.encodings[0], callers=max(asked.concurrency),
            )
        )  # fmt: skip
    return {"throughput": len(served.latencies) / served.seconds, "reason": ""}


def _best(rows: Sequence[Row]) -> float:
    return max(float(row["throughput"]) for row in rows) or 1.0


def _conclusions(rows: Sequence[Row], capacity: dict[str, Any]) -> dict[str, Any]:
    """Knee and budgets, as values and in words."""
    closed = [row for row in rows if row["kind"] == "closed loop"]
    enough = [row for row in closed if row["throughput"] >= ENOUGH * _best(closed)]
    knee = min(enough, key=lambda row: int(row["concurrency"]))
    findings = [
        f"Knee: concurrency {knee['concurrency']} gives {knee['throughput']:.4g}/s, at least 95 % "
        f"of the best ({_best(closed):.4g}/s)"
    ]
    if capacity["throughput"] is None:
        findings.append(f"Capacity of the loaders: {capacity['reason']}")
    else:
        findings.append(
            f"Capacity of the loaders: {capacity['throughput']:.4g}/s against a server whose "
            "engine does nothing, server included"
        )
    found: dict[str, Any] = {"knee": knee["concurrency"], "budgets": {}}
    steady = [row for row in rows if row.get("arrivals") == "constant"]
    for budget in BUDGETS_MS:
        verdicts: dict[str, list[float]] = {"kept": [], "broken": [], "undecided": []}
        for row in steady:
            verdicts[verdict(row, budget)].append(row["rate"])
        broken = verdicts["broken"]
        kept = [rate for rate in verdicts["kept"] if not broken or rate < min(broken)]
        found["budgets"][f"{budget:g}"] = {"highest_rate": max(kept, default=None), **verdicts}
        findings.append(_budget_sentence(budget, verdicts, max(kept, default=None)))
    residuals = [row["phase_residual"] for row in rows if row["phase_residual"] is not None]
    if residuals:
        findings.append(
            f"Phases: decode, queue, infer and encode leave at most {max(residuals):.1%} of the "
            "server's total unexplained (residual)"
        )
    return found | {"findings": findings}


def verdict(row: Row, budget: float) -> str:
    """Whether p99 is within a budget: `kept`, `broken`, or `undecided` with too few calls.

    Failed and dropped frames count as late: more than 1 % of them break any budget. A lower
    percentile above the budget proves that p99 is.
    """
    lost = sum(row["failures"].values()) + sum(row["dropped"].values())
    if lost > 0.01 * (lost + row["n"]):
        return "broken"
    known = [row[name] for name in ("p50", "p90", "p95", "p99") if row[name] is not None]
    if any(value > budget for value in known):
        return "broken"
    return "undecided" if row["p99"] is None else "kept"


def _budget_sentence(budget: float, verdicts: dict[str, list[float]], highest: float | None) -> str:
    parts = [f"highest rate measured that keeps it: {highest:.4g}/s" if highest else "none kept it"]
    for name, text in (("broken", "broken at"), ("undecided", "too few calls to tell at")):
        if verdicts[name]:
            parts.append(f"{text} " + ", ".join(f"{rate:.4g}/s" for rate in verdicts[name]))
    return f"p99 within {budget:g} ms at a constant rate: {'; '.join(parts)}"
