"""A load on a server: what is asked of those who make its calls, and how the calls went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from crossfuse.client import Timings
from crossfuse_bench.server_address import ServerAddress

PHASES = ("decode", "queue", "infer", "encode")


@dataclass(frozen=True)
class Load:
    """What every loader does: `callers` in a closed loop, or calls or frames as planned."""

    server: ServerAddress
    model: str
    height: int
    width: int
    seconds: float
    encoding: str = "raw"
    callers: int = 0
    planned: Sequence[float] = ()
    """Seconds after the start, of an open loop."""
    stream: bool = False
    """One stream with the planned frames, on which the server drops the oldest."""
    begin: float = 0.0


@dataclass
class Served:
    """How the calls went; latencies in ms, of an open loop from the planned start."""

    latencies: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    """When each of them began, or should have, in seconds after the start."""
    timings: list[Timings] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    lateness: list[float] = field(default_factory=list)
    """How many ms after their plan calls were handed on: the loader's own fault."""
    seconds: float = 0.0

    def add(self, other: Served) -> None:
        """Those of another process as well."""
        self.latencies += other.latencies
        self.starts += other.starts
        self.timings += other.timings
        self.failures += other.failures
        self.dropped += other.dropped
        self.lateness += other.lateness
        self.seconds = max(self.seconds, other.seconds)


def plan(arrivals: str, rate: float, seconds: float, seed: int = 0) -> list[float]:
    """When calls start: at equal distances, or `poisson`, at random and independently.

    Of so many independent arrivals in a span of time each is anywhere in it: so the rate is kept.
    """
    count = max(1, round(rate * seconds))
    if arrivals == "constant":
        return [number / rate for number in range(count)]
    moments = np.random.default_rng(seed).uniform(0, seconds, count)
    return [float(at) for at in np.sort(moments)]
