"""Callers for the scaling measurement: as many calls as fit, or calls that arrive at random."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import grpc

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_bench.load import OPTIONS
from crossfuse_bench.percentiles import percentile_of

FUSE = "/crossfuse.v1.FusionService/Fuse"
PERCENTILES = (50.0, 90.0, 99.0)
TIMEOUT = 30.0
CONNECTIONS = 2

Call = Callable[[], Awaitable[None]]


@dataclass(slots=True)
class Run:
    """One run: latencies in seconds, from the planned start of each call."""

    latencies: list[float] = field(default_factory=list)
    failures: int = 0
    seconds: float = 0.0

    def row(self) -> dict[str, Any]:
        """Rates a second and milliseconds; a percentile with too few samples is null."""
        latencies = self.latencies
        mean = 1e3 * sum(latencies) / len(latencies) if latencies else None
        row: dict[str, Any] = {
            "answered": len(latencies),
            "failures": self.failures,
            "throughput": round(len(latencies) / self.seconds, 2),
            "mean": None if mean is None else round(mean, 2),
        }
        for percentile in PERCENTILES:
            found = percentile_of(latencies, percentile).value
            row[f"p{percentile:g}"] = None if found is None else round(1e3 * found, 2)
        return row


def as_many_as_fit(address: str, request: pb.FuseRequest, callers: int, seconds: float) -> Run:
    """So many callers, each with its next call when the last one was answered."""

    async def work(call: Call, run: Run) -> None:
        end = time.perf_counter() + seconds

        async def caller() -> None:
            while (planned := time.perf_counter()) < end:
                await _timed(call, planned, run)

        await asyncio.gather(*(caller() for _ in range(callers)))

    return _run(address, request, work)


def at_random(address: str, request: pb.FuseRequest, rate: float, seconds: float, seed: int) -> Run:
    """Calls of many cameras that know nothing of each other: exponential pauses between them."""

    async def work(call: Call, run: Run) -> None:
        pauses = random.Random(seed)  # noqa: S311 - a load, not a secret
        started, offset, calls = time.perf_counter(), 0.0, []
        while (offset := offset + pauses.expovariate(rate)) < seconds:
            planned = started + offset
            await asyncio.sleep(max(planned - time.perf_counter(), 0))
            calls.append(asyncio.create_task(_timed(call, planned, run)))
        await asyncio.gather(*calls)

    return _run(address, request, work)


async def _timed(call: Call, planned: float, run: Run) -> None:
    try:
        await call()
    except grpc.aio.AioRpcError:
        run.failures += 1
    else:
        run.latencies.append(time.perf_counter() - planned)


def _run(
    address: str, request: pb.FuseRequest, work: Callable[[Call, Run], Awaitable[None]]
) -> Run:
    message = request.SerializeToString()

    async def main() -> Run:
        # Its stubs ask for serializers, which bytes need not have.
        channels: list[Any] = [
            grpc.aio.insecure_channel(address, options=OPTIONS) for _ in range(CONNECTIONS)
        ]
        methods = [channel.unary_unary(FUSE) for channel in channels]
        turn = 0

        async def call() -> None:
            nonlocal turn
            turn += 1
            await methods[turn % CONNECTIONS](message, timeout=TIMEOUT)

        for _ in range(2 * CONNECTIONS):
            await call()
        run = Run()
        started = time.perf_counter()
        await work(call, run)
        run.seconds = time.perf_counter() - started
        for channel in channels:
            await channel.close()
        return run

    return asyncio.run(main())
