"""A server at three times its capacity, and what batching is worth: counts, not promises.

    python -m crossfuse_bench.overload -o FILE.md [--seconds 10]

The real server in a process of its own, with engines whose time is known (they wait and compute
nothing), so that the server is measured and not a model. Calls arrive at a constant rate whether or
not those before them were answered; latency counts from the planned arrival.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from crossfuse.images import encode
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_bench.load import closed_loop, connected, open_loop, raw_request
from crossfuse_bench.overload_report import (
    DEADLINE,
    FILE_SIZE,
    OVERLOAD,
    PER_CALL,
    PER_FILE,
    PER_PAIR,
    SIZE,
    Outcome,
    Pressure,
    report,
)
from crossfuse_bench.process import MeasuredProcess
from crossfuse_bench.stand_ins import NoEngine, write_bundle

_kept: list[Any] = []  # a server that nobody holds stops


def start_server(engine: NoEngine, **settings: Any) -> int:
    """Start a server with an engine; returns its port."""
    # By name: this package must be usable where the server is not installed.
    app: Any = importlib.import_module("crossfuse_server.app")
    module: Any = importlib.import_module("crossfuse_server.settings")
    with tempfile.TemporaryDirectory() as models:
        write_bundle(Path(models), "none")
        values = {"port": 0, "models": Path(models), "default_model": "none", "warm_up": "64x64"}
        server = app.FusionServer(
            module.ServerSettings(**{**values, **settings}), lambda _: [engine]
        )
    server.start()
    while server.state.value == "loading":
        time.sleep(0.01)
    _kept.append(server)
    port: int = server.port
    return port


def slow_server() -> int:
    """Capacity 100 pairs a second."""
    return start_server(NoEngine(0.0, PER_PAIR))


def reading_server() -> int:
    """As many pairs a second as it can read."""
    return start_server(NoEngine(0.0, PER_FILE))


def file_request() -> pb.FuseRequest:
    """Files that are small to send and large to read; the answer is small too."""
    grey = np.full((FILE_SIZE, FILE_SIZE), 90, np.uint8)
    ir, vis = (encode(picture, "png") for picture in (grey, np.dstack([grey] * 3)))
    return pb.FuseRequest(
        ir=pb.Image(encoding=pb.ENCODING_PNG, data=ir),
        vis=pb.Image(encoding=pb.ENCODING_PNG, data=vis),
        options=pb.FuseOptions(output_encoding=pb.ENCODING_JPEG),
    )


def batching_server(batching: str) -> int:
    """20 ms a call, whatever the batch."""
    return start_server(NoEngine(PER_CALL, 0.0, "test:0"), batching=batching, max_batch=8)


def press(start: Callable[[], int], request: pb.FuseRequest, seconds: float) -> Pressure:
    """The most a server answers, then three times as many calls."""
    with MeasuredProcess(start) as server:
        wait_until_ready(server.address, request)
        peak = closed_loop(server.address, request, 8, seconds)
        rate = OVERLOAD * peak.goodput
        overload = open_loop(server.address, request, rate, seconds, DEADLINE)
        begin = time.perf_counter()
        wait_until_ready(server.address, request)
        return Pressure(peak, overload, time.perf_counter() - begin)


def wait_until_ready(address: str, request: pb.FuseRequest) -> None:
    """Return with the first answer."""
    with connected(address) as stub:
        stub.Fuse(request, timeout=60, wait_for_ready=True)


def measure(seconds: float) -> Outcome:
    """All of it; about seven times `seconds`."""
    request = raw_request(SIZE, SIZE)
    engine = press(slow_server, request, seconds)
    decoders = press(reading_server, file_request(), seconds)
    runs = []
    starts: list[Callable[[], int]] = [partial(batching_server, mode) for mode in ("off", "auto")]
    for start in starts:
        with MeasuredProcess(start) as server:
            wait_until_ready(server.address, request)
            runs.append(closed_loop(server.address, request, 16, seconds))
    return Outcome(engine, decoders, runs[0], runs[1])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the report; 1 when a bar is not kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--seconds", type=float, default=10.0, help="default: %(default)s")
    args = parser.parse_args(argv)
    outcome = measure(args.seconds)
    text = report(outcome, args.seconds)
    args.output.write_text(text, encoding="utf-8")
    print(text, file=sys.stderr)
    return int(not outcome.is_good)


if __name__ == "__main__":
    sys.exit(main())
