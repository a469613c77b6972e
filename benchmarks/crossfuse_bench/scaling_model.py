"""Queues by the book: what replicas, load and service time make of the wait, and the fit of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


def chance_to_wait(servers: int, load: float) -> float:
    """Erlang's C: the share of calls that wait at M/M/c; `load` is arrivals times service time."""
    if load >= servers:
        return 1.0
    blocked = 1.0  # Erlang's B, grown server by server
    for number in range(1, servers + 1):
        blocked = load * blocked / (number + load * blocked)
    share = load / servers
    return blocked / (1 - share + share * blocked)


def mean_wait(servers: int, rate: float, service: float) -> float:
    """Mean seconds in the queue of M/D/c: random arrivals, one fixed service time, one queue.

    Half of that of M/M/c, with Cosmetatos' correction, which is exact for one server.
    """
    load = rate * service
    if load >= servers:
        return math.inf
    exponential = chance_to_wait(servers, load) * service / (servers - load)
    share = load / servers
    correction = (1 - share) * (servers - 1) * (math.sqrt(4 + 5 * servers) - 2)
    return exponential / 2 * (1 + correction / (16 * share * servers)) if load else 0.0


def wait_below(rate: float, service: float, share: float) -> float:
    """Seconds that `share` of the calls wait less than, at M/D/1; its tail is exponential.

    P(wait > t) is close to rho * exp(-theta t), theta being the positive root of
    theta = rate * (exp(theta * service) - 1), Cramer and Lundberg's exponent.
    """
    load = rate * service
    if load >= 1:
        return math.inf
    if 1 - share >= load:
        return 0.0
    low, high = 1e-9, 1.0
    while _excess(high / service, rate, service) < 0:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _excess(middle / service, rate, service) < 0 else (low, middle)
        )
    return math.log(load / (1 - share)) * service / high


def _excess(theta: float, rate: float, service: float) -> float:
    return rate * math.expm1(theta * service) - theta


@dataclass(frozen=True, slots=True)
class Point:
    """One measured load: replicas, arrivals a second and mean latency in seconds."""

    replicas: int
    rate: float
    latency: float


@dataclass(frozen=True, slots=True)
class Fit:
    """latency = overhead + service + wait of M/D/c; in seconds."""

    service: float
    overhead: float

    def latency(self, replicas: int, rate: float) -> float:
        """What the model says."""
        return self.overhead + self.service + mean_wait(replicas, rate, self.service)


def fitted(capacity_of_one: float, points: Sequence[Point]) -> Fit:
    """Service time from what one replica can do, overhead from what the points have beyond it.

    The median of the points' overheads: a machine that stalls once must not bend it.
    """
    service = 1 / capacity_of_one
    beyond = sorted(
        point.latency - service - mean_wait(point.replicas, point.rate, service)
        for point in points
        if point.rate * service < point.replicas
    )
    return Fit(service, beyond[len(beyond) // 2])


def fit_of(document: dict[str, Any]) -> Fit:
    """The queue that fits a kept measurement: the document of crossfuse_bench.scaling."""
    points = [
        Point(row["replicas"], load["offered"], load["mean"] / 1e3)
        for row in document["replicas"]
        for load in row["loads"]
    ]
    return fitted(document["replicas"][0]["most"]["throughput"], points)
