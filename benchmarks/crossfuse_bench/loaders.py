"""Processes that make the calls of a measurement, so that the one that counts is not in the way."""

from __future__ import annotations

import functools
import multiprocessing
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection

import numpy as np

from crossfuse.client import Frame, FusionClient, Timings
from crossfuse.errors import CrossFuseError
from crossfuse_bench.closing import Closing
from crossfuse_bench.process import received
from crossfuse_bench.scenes import Scenes, load_scenes
from crossfuse_bench.server_address import ServerAddress

MOST_WAITING = 64
"""Calls of one process that wait for answers at once; what is due beyond them waits its turn, and
that counts, as latency is from the planned start."""
LEAD = 0.1
TIMEOUT = 20.0
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


class Loaders(Closing):
    """So many processes that wait for a load, and start it together."""

    def __init__(self, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connections: list[Connection] = []
        self._processes = []
        for _ in range(processes):
            connection, remote = context.Pipe()
            process = context.Process(target=_work, args=(remote,), daemon=True)
            process.start()
            remote.close()
            self._connections.append(connection)
            self._processes.append(process)

    def run(self, load: Load) -> Served:
        """Share the callers or the plan among the processes; returns all they saw."""
        # The frames of one camera come on one stream.
        shares = 1 if load.stream else len(self._connections)
        loads = [
            replace(
                load,
                callers=len(range(number, load.callers, shares)),
                planned=load.planned[number::shares],
            )
            for number in range(shares)
        ]
        busy = [
            (connection, own)
            for connection, own in zip(self._connections, loads, strict=False)
            if own.callers or own.planned
        ]
        for connection, own in busy:
            connection.send(own)
        for connection, _ in busy:
            received(connection)  # connected, with its pictures at hand
        begin = time.monotonic() + LEAD
        for connection, _ in busy:
            connection.send(begin)
        whole = Served()
        for connection, _ in busy:
            whole.add(received(connection))
        return whole

    def close(self) -> None:
        """Kill them."""
        for process in self._processes:
            process.kill()
            process.join()


def _work(connection: Connection) -> None:
    # Most loads of a process have pictures of one size.
    scenes_of = functools.lru_cache(1)(load_scenes)
    while True:
        try:
            load: Load = connection.recv()
        except EOFError:
            return
        scenes = scenes_of(load.height, load.width)
        with load.server.client(retries=0, timeout=TIMEOUT) as client:
            client.server_info()
            connection.send(None)
            begin: float = connection.recv()
            connection.send(run_load(replace(load, begin=begin), client, scenes))


def run_load(load: Load, client: FusionClient, scenes: Scenes) -> Served:
    """One process's share."""
    time.sleep(max(load.begin - time.monotonic(), 0))
    if load.stream:
        served = _stream(load, client, scenes)
    elif load.callers:
        served = _closed_loop(load, client, scenes)
    else:
        served = _open_loop(load, client, scenes)
    served.seconds = time.monotonic() - load.begin
    return served


class _Caller:
    """Makes calls and notes how they went; from any thread."""

    def __init__(self, load: Load, client: FusionClient, scenes: Scenes) -> None:
        self._load, self._client, self._scenes = load, client, scenes
        self._lock = threading.Lock()
        self.served = Served()

    def call(self, number: int, planned: float) -> None:
        ir, vis = self._scenes.pairs[number % len(self._scenes.pairs)]
        failure, timings = "", None
        try:
            answer = self._client.fuse_with_details(
                ir, vis, model=self._load.model or None, encoding=self._load.encoding
            )
            timings = answer.timings
        except CrossFuseError as error:
            failure = type(error).__name__
        waited = 1e3 * (time.monotonic() - planned)
        with self._lock:
            if timings is None:
                self.served.failures[failure] += 1
            else:
                self.served.latencies.append(waited)
                self.served.starts.append(planned - self._load.begin)
                self.served.timings.append(timings)


def _closed_loop(load: Load, client: FusionClient, scenes: Scenes) -> Served:
    caller = _Caller(load, client, scenes)

    def repeat(first: int) -> None:
        number = first
        while time.monotonic() < load.begin + load.seconds:
            caller.call(number, time.monotonic())
            number += load.callers

    with ThreadPoolExecutor(load.callers) as pool:
        list(pool.map(repeat, range(load.callers)))
    return caller.served


def _open_loop(load: Load, client: FusionClient, scenes: Scenes) -> Served:
    caller = _Caller(load, client, scenes)
    with ThreadPoolExecutor(MOST_WAITING) as pool:
        for number, offset in enumerate(load.planned):
            planned = load.begin + offset
            _wait_until(planned, caller.served)
            pool.submit(caller.call, number, planned)
    return caller.served


def _stream(load: Load, client: FusionClient, scenes: Scenes) -> Served:
    served = Served()

    def frames() -> Iterator[Frame]:
        for number, offset in enumerate(load.planned):
            planned = load.begin + offset
            _wait_until(planned, served)
            yield Frame(
                *scenes.pairs[number % len(scenes.pairs)], capture_time_us=round(1e6 * planned)
            )

    results = client.stream(
        frames(), model=load.model or None, encoding=load.encoding, drop="oldest"
    )
    for result in results:
        if result.dropped is not None:
            served.dropped[result.dropped.partition(":")[0]] += 1
        elif result.timings is None:
            served.failures[type(result.error).__name__] += 1
        else:
            planned = result.capture_time_us / 1e6
            served.latencies.append(1e3 * (time.monotonic() - planned))
            served.starts.append(planned - load.begin)
            served.timings.append(result.timings)
    return served


def _wait_until(planned: float, served: Served) -> None:
    time.sleep(max(planned - time.monotonic(), 0))
    served.lateness.append(1e3 * (time.monotonic() - planned))


def plan(arrivals: str, rate: float, seconds: float, seed: int = 0) -> list[float]:
    """When calls start: at equal distances, or `poisson`, at random and independent ones."""
    count = max(1, round(rate * seconds))
    if arrivals == "constant":
        return [number / rate for number in range(count)]
    gaps = np.random.default_rng(seed).exponential(1 / rate, count)
    return [float(at) for at in np.cumsum(gaps)]
