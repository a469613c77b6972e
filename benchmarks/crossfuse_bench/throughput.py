"""gRPC against the same engine in process, and where the time of a call goes.

    python -m crossfuse_bench.throughput -o FILE.md [--model crossfuse-rt] [--rounds 5]

Unary calls with RAW pictures of 480x640 over loopback at concurrency 4, against as many threads
that call the engine in their own process. The two take turns, so that both see the same machine.
"""

from __future__ import annotations

import argparse
import functools
import importlib
import resource
import statistics
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import crossfuse
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_bench.conditions import conditions
from crossfuse_bench.load import connected, raw_request
from crossfuse_bench.process import MeasuredProcess

HEIGHT, WIDTH = 480, 640
CALLERS = 4
BAR = 0.8
PHASES = ("decode", "queue", "infer", "encode")

_kept: list[Any] = []  # a server that nobody holds stops


def start_server(model: str) -> int:
    """Serve a model with the default settings; returns the port."""
    # By name: this package must be usable where the server is not installed.
    app: Any = importlib.import_module("crossfuse_server.app")
    settings: Any = importlib.import_module("crossfuse_server.settings")
    server = app.FusionServer(settings.ServerSettings(port=0, default_model=model))
    server.start()
    while server.host.models[-1].state.value == "loading":
        time.sleep(0.01)
    _kept.append(server)
    port: int = server.port
    return port


def rate_of(work: Callable[[], object], seconds: float) -> float:
    """Calls per second of four threads that do nothing else."""
    counts = [0] * CALLERS
    end = time.perf_counter() + seconds
    started = time.perf_counter()

    def run(number: int) -> None:
        while time.perf_counter() < end:
            work()
            counts[number] += 1

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.perf_counter() - started)


def own_cpu_seconds() -> float:
    """User and system time of this process."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


@dataclass(frozen=True, slots=True)
class Round:
    """Calls per second, and CPU seconds per call of all processes, both ways."""

    local: float
    served: float
    local_cpu: float
    served_cpu: float


def measure(model: str, rounds: int, seconds: float) -> tuple[list[Round], dict[str, float]]:
    """Every round, and the medians of the phases in ms."""
    request = raw_request(HEIGHT, WIDTH)
    ir = np.frombuffer(request.ir.data, np.uint8).reshape(HEIGHT, WIDTH)
    vis = np.frombuffer(request.vis.data, np.uint8).reshape(HEIGHT, WIDTH, 3)
    found: list[Round] = []
    timings: list[pb.Timings] = []
    waited: list[float] = []
    start = functools.partial(start_server, model)
    with (
        crossfuse.load(model) as fuser,
        MeasuredProcess(start) as server,
        connected(server.address) as stub,
    ):

        def call() -> None:
            begin = time.perf_counter()
            timings.append(stub.Fuse(request, timeout=60).timings)
            waited.append(time.perf_counter() - begin)

        for _ in range(5):
            fuser.fuse(ir, vis)
            call()
        for number in range(rounds):
            begin = own_cpu_seconds()
            local = rate_of(lambda: fuser.fuse(ir, vis), seconds)
            local_cpu = (own_cpu_seconds() - begin) / (local * seconds)
            begin = own_cpu_seconds() + server.cpu_seconds()
            served = rate_of(call, seconds)
            spent = own_cpu_seconds() + server.cpu_seconds() - begin
            found.append(Round(local, served, local_cpu, spent / (served * seconds)))
            print(f"round {number + 1}: {found[-1]}", file=sys.stderr)
    budget = {
        phase: statistics.median(getattr(timing, f"{phase}_us") for timing in timings) / 1e3
        for phase in (*PHASES, "total")
    }
    budget["client"] = 1e3 * statistics.median(waited)
    return found, budget


def served_share(found: list[Round]) -> float:
    """The rate through gRPC over that in process: the median of the rounds."""
    return statistics.median(one.served / one.local for one in found)


def report(model: str, found: list[Round], budget: dict[str, float]) -> str:
    """The measurement as Markdown."""
    ratio = served_share(found)
    cpu_ratio = statistics.median(one.local_cpu / one.served_cpu for one in found)
    named = sum(budget[phase] for phase in PHASES)
    rows = [
        ("decode: request to arrays", budget["decode"]),
        ("queue: until the engine is free", budget["queue"]),
        ("infer: the engine", budget["infer"]),
        ("encode: array to answer", budget["encode"]),
        ("between them", budget["total"] - named),
        ("gRPC, protobuf, kernel and client", budget["client"] - budget["total"]),
        ("**what the client waits**", budget["client"]),
    ]
    return "\n".join(
        [
            "# gRPC against the engine in process",
            "",
            *conditions("grpcio", "protobuf", "numpy", "onnxruntime"),
            f"- Method: {model}, RAW pictures of {HEIGHT}x{WIDTH}, {CALLERS} callers without a "
            f"pause; {len(found)} rounds, the two in turn; the server in a process of its own with "
            "its default settings, the callers on the same processors.",
            "- Repeat it: `python -m crossfuse_bench.throughput -o FILE.md`",
            "",
            f"gRPC reaches **{100 * ratio:.1f} %** of the rate in process (median of the rounds; "
            f"bar {100 * BAR:g} %: {'kept' if ratio >= BAR else 'NOT kept'}).",
            "",
            f"In processor time, which a busy machine disturbs less, a pair in process costs "
            f"{100 * cpu_ratio:.1f} % of what it costs through gRPC, client included.",
            "",
            "| round | in process, pairs/s | gRPC, pairs/s | ratio | CPU ms a pair in process "
            "| CPU ms a pair gRPC |",
            "| ---: | ---: | ---: | ---: | ---: | ---: |",
            *(
                f"| {number} | {one.local:.2f} | {one.served:.2f} | {one.served / one.local:.3f} "
                f"| {1e3 * one.local_cpu:.1f} | {1e3 * one.served_cpu:.1f} |"
                for number, one in enumerate(found, 1)
            ),
            "",
            "Where the time of a call goes, medians over all calls, so the rows need not add up:",
            "",
            "| phase | ms |",
            "| --- | ---: |",
            *(f"| {name} | {value:.2f} |" for name, value in rows),
            "",
        ]
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the report; 1 when the bar is not kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--model", default="crossfuse-rt", help="default: %(default)s")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--seconds", type=float, default=3.0, help="of every run")
    args = parser.parse_args(argv)
    found, budget = measure(args.model, args.rounds, args.seconds)
    text = report(args.model, found, budget)
    args.output.write_text(text, encoding="utf-8")
    print(text, file=sys.stderr)
    return int(served_share(found) < BAR)


if __name__ == "__main__":
    sys.exit(main())
