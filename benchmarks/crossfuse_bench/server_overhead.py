"""What the server costs beside the model: its own CPU time per call, and where it goes.

    python -m crossfuse_bench.server_overhead -o FILE.md

The real server runs in a process of its own with an engine that returns the visible picture, so
every microsecond is the server's: transport, protobuf, reading, queue and writing.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
import numpy as np

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc
from crossfuse_bench.conditions import conditions
from crossfuse_bench.process import MeasuredProcess
from crossfuse_bench.stand_ins import NoEngine, write_bundle

HEIGHT, WIDTH = 480, 640
BAR_MS = 3.0
PHASES = ("decode", "queue", "infer", "encode", "total")
OPTIONS = [("grpc.max_receive_message_length", 2**25)]


def start_server() -> int:
    """Start the server; returns its port."""
    # By name: this package must be usable where the server is not installed.
    app: Any = importlib.import_module("crossfuse_server.app")
    settings: Any = importlib.import_module("crossfuse_server.settings")
    with tempfile.TemporaryDirectory() as models:
        write_bundle(Path(models), "none")
        server = app.FusionServer(
            settings.ServerSettings(port=0, models=Path(models), default_model="none"),
            lambda _: [NoEngine()],
        )
    server.start()
    _kept.append(server)
    port: int = server.port
    return port


_kept: list[Any] = []  # a server that nobody holds stops


def measure(server: MeasuredProcess, calls: int) -> dict[str, float]:
    """Milliseconds per call: CPU time of the server, its phases, and what the client waited."""
    noise = np.random.default_rng(0)
    size: dict[str, Any] = {"width": WIDTH, "height": HEIGHT}
    ir = noise.integers(0, 256, HEIGHT * WIDTH, np.uint8).tobytes()
    vis = noise.integers(0, 256, HEIGHT * WIDTH * 3, np.uint8).tobytes()
    request = pb.FuseRequest(
        ir=pb.Image(channels=1, data=ir, **size), vis=pb.Image(channels=3, data=vis, **size)
    )
    with grpc.insecure_channel(server.address, options=OPTIONS) as channel:
        stub_class: Any = fusion_pb2_grpc.FusionServiceStub
        stub = stub_class(channel)
        for _ in range(50):
            answer = stub.Fuse(request, wait_for_ready=True)
        assert answer.fused.data == vis
        timings, waited = [], []
        before = server.cpu_seconds()
        for _ in range(calls):
            begin = time.perf_counter()
            timings.append(stub.Fuse(request).timings)
            waited.append(time.perf_counter() - begin)
        spent = server.cpu_seconds() - before
    found = {"cpu": 1e3 * spent / calls, "client": 1e3 * statistics.median(waited)}
    for phase in PHASES:
        values = [getattr(timing, f"{phase}_us") for timing in timings]
        found[phase] = statistics.median(values) / 1e3
    return found


def report(rounds: list[dict[str, float]], calls: int) -> str:
    """The measurement as Markdown."""
    median = {key: statistics.median(found[key] for found in rounds) for key in rounds[0]}
    verdict = "kept" if median["cpu"] < BAR_MS else "NOT kept"
    titles = {
        "cpu": "CPU time of the server process, all threads",
        "decode": "decode: request to arrays",
        "queue": "queue: until the engine's thread takes it",
        "infer": "infer: the engine that does nothing",
        "encode": "encode: array to answer",
        "total": "total: from handler to answer, wall clock",
        "client": "what the client waits, wall clock, p50",
    }
    every = " | ".join(f"{number}" for number in range(1, len(rounds) + 1))
    rows = [
        f"| {title} | {median[key]:.3f} | "
        + " | ".join(f"{found[key]:.3f}" for found in rounds)
        + " |"
        for key, title in titles.items()
    ]
    return "\n".join(
        [
            "# The server's own cost per call",
            "",
            *conditions("grpcio", "protobuf", "numpy"),
            f"- Method: unary Fuse of RAW pictures of {HEIGHT}x{WIDTH}, 1.2 MB in and 0.9 MB out, "
            f"over loopback, one caller; {calls} calls in each of {len(rounds)} rounds; an engine "
            "that returns the visible picture. CPU time is user and system time of the whole "
            "server process (getrusage), transport and protobuf included; the phases are medians "
            "of the Timings in the answers.",
            "- Repeat it: `python -m crossfuse_bench.server_overhead -o FILE.md`",
            "",
            f"The bar of {BAR_MS:g} ms of CPU time per call is **{verdict}**: "
            f"{median['cpu']:.2f} ms (median of the rounds).",
            "",
            f"| ms per call | median | {every} |",
            f"| --- | ---: |{' ---: |' * len(rounds)}",
            *rows,
            "",
            "What is in the CPU time and in no phase is gRPC, protobuf and the copies through the "
            "kernel.",
            "",
        ]
    )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--rounds", type=int, default=5, help="default: %(default)s")
    parser.add_argument("--calls", type=int, default=500, help="default: %(default)s")
    args = parser.parse_args(argv)
    rounds = []
    with MeasuredProcess(start_server) as server:
        for number in range(args.rounds):
            rounds.append(measure(server, args.calls))
            print(f"round {number + 1}: {rounds[-1]}", file=sys.stderr)
    args.output.write_text(report(rounds, args.calls), encoding="utf-8")


if __name__ == "__main__":
    main()
