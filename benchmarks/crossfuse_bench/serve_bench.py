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

from crossfuse.client import ModelInfo
from crossfuse.engines.devices import available_cpus
from crossfuse.errors import UnknownName
from crossfuse_bench.process import MeasuredProcess
from crossfuse_bench.quality import served_quality
from crossfuse_bench.rate_search import search
from crossfuse_bench.report.document import Document
from crossfuse_bench.rows import Row
from crossfuse_bench.scenes import load_scenes
from crossfuse_bench.serve_conclusions import (
    BUDGETS_MS,
    best,
    budget_of,
    budget_sentence,
    knee,
    residual_sentence,
)
from crossfuse_bench.serve_rows import ServeRows
from crossfuse_bench.served_load import Load
from crossfuse_bench.served_runs import RUNS, LoaderSets
from crossfuse_bench.server_address import ServerAddress
from crossfuse_bench.server_overhead import start_server as start_idle_server
from crossfuse_bench.server_statistics import ServerStatistics, statistics_sentence
from crossfuse_bench.throughput import start_server

RATE_SHARES = (0.5, 0.8)
"""Of the best rate of the closed loops; offered where no rate is given."""
CAPACITY_SECONDS = 1.5
WARM_UP_CALLS = 5

Progress = Callable[[str], None]


@dataclass(frozen=True)
class ServeBench:
    """What `bench serve` was asked for."""

    server: ServerAddress
    """Without a target one is started."""
    model: str
    size: tuple[int, int]
    concurrency: Sequence[int]
    rates: Sequence[float]
    arrivals: Sequence[str]
    modes: Sequence[str]
    encodings: Sequence[str]
    seconds: float
    """Of every row."""
    search: float = 0.0
    """Seconds for finding the highest rates that keep the budgets."""


def run_bench(asked: ServeBench, command: str, progress: Progress) -> Document:
    """Measure everything and return the report."""
    with ExitStack() as stack:
        server = asked.server
        if not server.target:
            progress(f"starting a server of {asked.model}")
            start = functools.partial(start_server, asked.model)
            server = ServerAddress(stack.enter_context(MeasuredProcess(start)).address)
        loaders = stack.enter_context(LoaderSets(available_cpus()))
        info, runtime = _warm_up(server, asked)
        progress("pictures of every encoding beside fp32")
        with server.client() as client:
            quality = served_quality(client, info, asked.size, asked.encodings)
        statistics = stack.enter_context(ServerStatistics(server, info))
        bench = ServeRows(server, info, asked.size, loaders, statistics, quality, progress)
        rows = [
            bench.closed(callers, encoding, asked.seconds)
            for encoding in asked.encodings
            for callers in asked.concurrency
        ]
        fastest = {
            encoding: best([row for row in rows if row["encoding"] == encoding])
            for encoding in asked.encodings
        }
        rows += [
            bench.open(mode, arrivals, rate, encoding, asked.seconds)
            for encoding in asked.encodings
            for mode in asked.modes
            for arrivals in (asked.arrivals if mode == "unary" else ["constant"])
            for rate in asked.rates or [share * fastest[encoding] for share in RATE_SHARES]
        ]
        first = asked.encodings[0]
        # Cameras send frames; where no stream is measured, calls take their place.
        mode = "stream" if "stream" in asked.modes else "unary"
        steady = [
            row for row in rows
            if (row["mode"], row["encoding"]) == (mode, first)
            and row.get("arrivals") == "constant"
        ]  # fmt: skip

        def probe(rate: float, calls: int) -> Row:
            # In one go: whether a rate is kept shows in what has waited when many calls are over.
            row = bench.open(mode, "constant", rate, first, calls / rate, runs=1)
            return row | {"search": True}

        tried = search(probe, fastest[first], BUDGETS_MS, steady, asked.search)
        rows += tried
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
        "server": asked.server.target or "a process of its own on this machine, default settings",
        "loaders": f"{available_cpus()} processes on this machine, over gRPC",
        "seconds": asked.seconds,
        "runs": f"{RUNS} of each row share its seconds, each by load processes of its own; a try "
        "of the search is one",
        "search": f"{asked.search:g} s for the highest rates that keep a budget",
    }
    extra = _conclusions(rows, [*steady, *tried], capacity, statistics.missing)
    return Document("serve", command, identity, method, rows, extra)


def _warm_up(server: ServerAddress, asked: ServeBench) -> tuple[ModelInfo, str]:
    """Call until it is warm; the model as the server names it, and its runtime."""
    ir, vis = load_scenes(*asked.size, count=1).pairs[0]
    wanted = asked.model if asked.server.target else ""
    with server.client() as client:
        for _ in range(WARM_UP_CALLS):
            used = client.fuse_with_details(ir, vis, model=wanted or None).model
        information = client.server_info()
    for model in information.models:
        if model.reference == used:
            return model, information.runtime
    raise UnknownName("model", used, [model.reference for model in information.models])


def _capacity(asked: ServeBench, loaders: LoaderSets) -> dict[str, Any]:
    """What the loaders can do at most: a server whose engine does nothing, in a closed loop."""
    if importlib.util.find_spec("crossfuse_server") is None:
        return {"throughput": None, "reason": "not measured: the server is not installed here"}
    height, width = asked.size
    with MeasuredProcess(start_idle_server) as server:
        (served,) = loaders.run(
            Load(
                ServerAddress(server.address), "", height, width, CAPACITY_SECONDS,
                encoding=asked.encodings[0], callers=max(asked.concurrency),
            ),
            runs=1,
        )  # fmt: skip
    return {"throughput": len(served.latencies) / served.seconds, "reason": ""}


def _conclusions(
    rows: Sequence[Row], steady: Sequence[Row], capacity: dict[str, Any], missing: str
) -> dict[str, Any]:
    """Knee and budgets, as values and in words."""
    closed = [row for row in rows if row["kind"] == "closed loop"]
    encoding = closed[0]["encoding"]
    concurrency, knee_sentence = knee([row for row in closed if row["encoding"] == encoding])
    budgets = {f"{budget:g}": budget_of(steady, budget) for budget in BUDGETS_MS}
    what = "frames of one stream" if steady and steady[0]["mode"] == "stream" else "calls"
    what += f", {encoding} pictures,"
    if capacity["throughput"] is None:
        able = capacity["reason"]
    else:
        able = (
            f"{capacity['throughput']:.4g}/s against a server whose engine does nothing, "
            f"{encoding} pictures"
        )
    return {
        "client_capacity": capacity,
        "knee": concurrency,
        "budgets": budgets,
        "findings": [
            f"{knee_sentence}, {encoding} pictures",
            *(budget_sentence(float(budget), found, what) for budget, found in budgets.items()),
            residual_sentence(rows),
            statistics_sentence(rows, missing),
            f"Capacity of the loaders: {able}",
        ],
    }
