"""grpc.aio against gRPC with threads, on this machine, with the server's messages.

    python -m crossfuse_bench.grpc_stacks -o FILE.md

Both servers do the same trivial work: they look at the two pictures and send the visible one back.
They run in processes of their own, with the allocator settings of the real server, and are measured
in turn, in an order that changes from round to round, by one client with threads.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc
from crossfuse_bench.conditions import conditions
from crossfuse_bench.process import MeasuredProcess
from crossfuse_bench.trivial_servers import (
    HEIGHT,
    OPTIONS,
    STACKS,
    WIDTH,
    start_aio,
    start_threads,
)

CALLERS = 4


@dataclass(frozen=True)
class Round:
    """What one stack did in one round; the titles of the table are in TITLES."""

    unary_p50_ms: float
    unary_cpu_ms: float
    unary_rate: float
    unary_rate_cpu_ms: float
    stream_rate: float
    stream_cpu_ms: float


TITLES = (
    "unary p50 at concurrency 1, ms",
    "server CPU per call, ms",
    f"unary calls/s at concurrency {CALLERS}",
    "server CPU per call, ms",
    "stream frames/s",
    "server CPU per frame, ms",
)


def measure(server: MeasuredProcess, calls: int) -> Round:
    """One round against one server."""
    noise = np.random.default_rng(0)
    ir = pb.Image(data=noise.integers(0, 256, HEIGHT * WIDTH, np.uint8).tobytes())
    vis = pb.Image(data=noise.integers(0, 256, HEIGHT * WIDTH * 3, np.uint8).tobytes())
    request = pb.FuseRequest(ir=ir, vis=vis)
    with grpc.insecure_channel(server.address, options=OPTIONS) as channel:
        stub_class: Any = fusion_pb2_grpc.FusionServiceStub
        stub = stub_class(channel)

        def one_call(_: int = 0) -> float:
            begin = time.perf_counter()
            stub.Fuse(request)
            return time.perf_counter() - begin

        for _ in range(20):
            one_call()
        cpu = [server.cpu_seconds()]
        latencies = [one_call() for _ in range(calls)]
        cpu.append(server.cpu_seconds())
        begin = time.perf_counter()
        with ThreadPoolExecutor(CALLERS) as pool:
            list(pool.map(one_call, range(calls)))
        unary_seconds = time.perf_counter() - begin
        cpu.append(server.cpu_seconds())
        frames = (
            pb.FuseStreamRequest(frame=pb.StreamFrame(frame_id=number, ir=ir, vis=vis))
            for number in range(calls)
        )
        begin = time.perf_counter()
        answered = sum(1 for _ in stub.FuseStream(frames))
        stream_seconds = time.perf_counter() - begin
        cpu.append(server.cpu_seconds())
    assert answered == calls
    spent = [1e3 * (after - before) / calls for before, after in pairwise(cpu)]
    return Round(
        unary_p50_ms=1e3 * statistics.median(latencies),
        unary_cpu_ms=spent[0],
        unary_rate=calls / unary_seconds,
        unary_rate_cpu_ms=spent[1],
        stream_rate=calls / stream_seconds,
        stream_cpu_ms=spent[2],
    )


def compare(rounds: int, calls: int) -> dict[str, list[Round]]:
    """Measure all stacks in turn."""
    results: dict[str, list[Round]] = {name: [] for name in STACKS}
    with MeasuredProcess(start_threads) as threads, MeasuredProcess(start_aio) as aio:
        servers = {"threads": threads, "aio": aio}
        for number in range(rounds):
            for name in list(STACKS)[:: 1 if number % 2 == 0 else -1]:
                results[name].append(measure(servers[name], calls))
                print(f"round {number + 1}, {name}: {results[name][-1]}", file=sys.stderr)
    return results


def report(results: dict[str, list[Round]], calls: int) -> str:
    """The measurement as Markdown: medians first, every round below."""
    rounds = len(next(iter(results.values())))
    head = [f"| stack | {' | '.join(TITLES)} |", f"| --- |{' ---: |' * len(TITLES)}"]
    medians = []
    for name, measured in results.items():
        columns = zip(*map(astuple, measured), strict=True)
        medians.append(_row(name, [statistics.median(column) for column in columns]))
    every = [
        _row(f"{name}, round {number}", list(astuple(result)))
        for name, measured in results.items()
        for number, result in enumerate(measured, 1)
    ]
    return "\n".join(
        [
            "# gRPC for Python: threads against asyncio",
            "",
            *conditions("grpcio", "protobuf", "numpy"),
            f"- Method: RAW pictures of {HEIGHT}x{WIDTH}, 1.2 MB in and 0.9 MB out, over loopback; "
            f"trivial work; {calls} calls or frames for every number; {rounds} rounds, the two "
            "stacks in turn; the client has threads and runs on the same processors; the servers "
            "have the allocator settings of crossfuse_server/memory.py.",
            "- Repeat it: `python -m crossfuse_bench.grpc_stacks -o FILE.md`",
            "",
            f"Medians of {rounds} rounds:",
            "",
            *head,
            *medians,
            "",
            "Every round:",
            "",
            *head,
            *every,
            "",
        ]
    )


def _row(name: str, values: Sequence[float]) -> str:
    return f"| {name} | " + " | ".join(f"{value:.4g}" for value in values) + " |"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--calls", type=int, default=200, help="default: %(default)s")
    args = parser.parse_args(argv)
    results = compare(args.rounds, args.calls)
    args.output.write_text(report(results, args.calls), encoding="utf-8")


if __name__ == "__main__":
    main()
