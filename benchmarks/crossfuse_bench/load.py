"""Callers for the measurements of a server under load: open loop, closed loop, and their counts."""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc

OPTIONS = [("grpc.max_receive_message_length", 2**27), ("grpc.use_local_subchannel_pool", 1)]


def raw_request(height: int, width: int, seed: int = 0) -> pb.FuseRequest:
    """A request with noise for pictures."""
    noise = np.random.default_rng(seed)
    size: dict[str, Any] = {"width": width, "height": height}
    ir = noise.integers(0, 256, height * width, np.uint8).tobytes()
    vis = noise.integers(0, 256, height * width * 3, np.uint8).tobytes()
    return pb.FuseRequest(
        ir=pb.Image(channels=1, data=ir, **size), vis=pb.Image(channels=3, data=vis, **size)
    )


@contextmanager
def connected(address: str) -> Iterator[Any]:
    """A stub with a connection of its own."""
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        stub_class: Any = fusion_pb2_grpc.FusionServiceStub
        stub = stub_class(channel)
        grpc.channel_ready_future(channel).result(60)
        yield stub


@dataclass(slots=True)
class Counted:
    """How the calls of one run ended; latencies, in seconds, are from their planned starts."""

    codes: Counter[str] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    refusals: list[float] = field(default_factory=list)
    """How long the refused ones took to be refused."""
    seconds: float = 0.0

    @property
    def goodput(self) -> float:
        """Calls per second that were answered with a picture."""
        return self.codes["OK"] / self.seconds

    def add(self, code: str, seconds: float) -> None:
        """One call ended."""
        self.codes[code] += 1
        if code == "OK":
            self.latencies.append(seconds)
        elif code == "RESOURCE_EXHAUSTED":
            self.refusals.append(seconds)

    def percentile(self, share: float) -> float:
        """Of the latencies; NaN where there is none."""
        return float(np.quantile(self.latencies, share)) if self.latencies else float("nan")

    def refused_in(self) -> float:
        """Median time to a refusal; NaN where there is none."""
        return statistics.median(self.refusals) if self.refusals else float("nan")


def closed_loop(
    address: str, request: pb.FuseRequest, callers: int, seconds: float, timeout: float = 60
) -> Counted:
    """So many callers, each with its next call when the last one has been answered."""
    counted, lock = Counted(), threading.Lock()
    started = time.perf_counter()

    def call() -> None:
        with connected(address) as stub:
            while (begin := time.perf_counter()) < started + seconds:
                code = "OK"
                try:
                    stub.Fuse(request, timeout=timeout)
                except grpc.RpcError as error:
                    code = error.code().name
                with lock:
                    counted.add(code, time.perf_counter() - begin)

    _run([call] * callers)
    counted.seconds = time.perf_counter() - started
    return counted


def open_loop(
    address: str,
    request: pb.FuseRequest,
    rate: float,
    seconds: float,
    timeout: float,
    connections: int = 4,
) -> Counted:
    """Calls at a constant rate, whether or not those before them have been answered."""
    counted, lock = Counted(), threading.Lock()
    calls = round(rate * seconds)
    started = time.perf_counter()

    def spread(first: int) -> None:
        answered = threading.Semaphore(0)

        def ended(call: Any, planned: float) -> None:
            with lock:
                counted.add(call.code().name, time.perf_counter() - planned)
            answered.release()

        with connected(address) as stub:
            mine = range(first, calls, connections)
            for number in mine:
                planned = started + number / rate
                time.sleep(max(planned - time.perf_counter(), 0))
                future = stub.Fuse.future(request, timeout=timeout)
                future.add_done_callback(lambda call, planned=planned: ended(call, planned))
            for _ in mine:
                answered.acquire()

    _run([lambda first=first: spread(first) for first in range(connections)])
    counted.seconds = time.perf_counter() - started
    return counted


def _run(works: Sequence[Any]) -> None:
    threads = [threading.Thread(target=work) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
