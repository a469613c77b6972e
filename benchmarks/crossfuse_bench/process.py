"""A server in a process of its own, whose CPU time can be asked for."""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from crossfuse.errors import EngineError
from crossfuse_bench.closing import Closing


def received(connection: Connection) -> Any:
    """What the process at the other end sends; a process that has ended is an error."""
    try:
        return connection.recv()
    except EOFError as error:
        raise EngineError(
            "a process of the measurement ended early; stderr has its reason"
        ) from error


class MeasuredProcess(Closing):
    """Runs `start` in a fresh process; `start` opens a server and returns its port.

    The function must be importable: it is sent by name.
    """

    def __init__(self, start: Callable[[], int]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, remote = context.Pipe()
        self._process = context.Process(target=_answer, args=(start, remote), daemon=True)
        self._process.start()
        remote.close()
        self.address = f"127.0.0.1:{received(self._connection)}"

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        self._connection.send(None)
        spent: float = received(self._connection)
        return spent

    def close(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.join()


def _answer(start: Callable[[], int], connection: Connection) -> None:
    connection.send(start())
    while True:
        connection.recv()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        connection.send(usage.ru_utime + usage.ru_stime)
