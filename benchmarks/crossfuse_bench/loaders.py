"""Processes that make the calls of a measurement, so that the one that counts is not in the way."""

from __future__ import annotations

import functools
import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from multiprocessing.connection import Connection

from crossfuse.client import Frame, FusionClient
from crossfuse.errors import CrossFuseError
from crossfuse_bench.closing import Closing
from crossfuse_bench.process import deaf_to_interrupts, noted, outcome
from crossfuse_bench.scenes import Scenes, load_scenes
from crossfuse_bench.served_load import Load, Served

MOST_WAITING = 64
"""Calls of one process that wait for answers at once; what is due beyond them waits its turn, and
that counts, as latency is from the planned start."""
LEAD = 0.1
TIMEOUT = 20.0


class Loaders(Closing):
    """So many processes that wait for a load, and start it together."""

    def __init__(self, processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connections: list[Connection] = []
        self._processes = []
        for _ in range(processes):
            connection, remote = context.Pipe()
            process = context.Process(target=_work, args=(remote,), daemon=True)
            with deaf_to_interrupts():
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
            outcome(connection)  # connected, with its pictures at hand
        begin = time.monotonic() + LEAD
        for connection, _ in busy:
            connection.send(begin)
        whole = Served()
        for connection, _ in busy:
            whole.add(outcome(connection))
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
        try:
            with load.server.client(retries=0, timeout=TIMEOUT) as client:
                client.server_info()
                connection.send(None)
                begin: float = connection.recv()
                connection.send(run_load(replace(load, begin=begin), client, scenes))
        except CrossFuseError as error:
            connection.send(noted(error))


def run_load(load: Load, client: FusionClient, scenes: Scenes) -> Served:
    """One process's share."""
    time.sleep(max(load.begin - time.monotonic(), 0))
    if load.stream:
        served = _stream(load, client, scenes)
    elif load.callers:
        served = _closed_loop(load, client, scenes)
    else:
        served = _open_loop(load, client, scenes)
    spent = time.monotonic() - load.begin
    # The last call that was planned is over before its share of the time is.
    served.seconds = spent if load.callers else max(spent, load.seconds)
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
