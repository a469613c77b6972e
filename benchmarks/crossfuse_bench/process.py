"""A server in a process of its own, whose CPU time can be asked for."""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType


class MeasuredProcess:
    """Runs `start` in a fresh process; `start` opens a server and returns its port.

    The function must be importable: it is sent by name.
    """

    def __init__(self, start: Callable[[], int]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, remote = context.Pipe()
        self._process = context.Process(target=_answer, args=(start, remote), daemon=True)
        self._process.start()
        self.address = f"127.0.0.1:{self._connection.recv()}"

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        self._connection.send(None)
        spent: float = self._connection.recv()
        return spent

    def __enter__(self) -> MeasuredProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.join()


def _answer(start: Callable[[], int], connection: Connection) -> None:
    connection.send(start())
    while True:
        connection.recv()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        connection.send(usage.ru_utime + usage.ru_stime)
