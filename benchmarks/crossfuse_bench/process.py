"""Processes of a measurement: a function in a fresh one, and a server whose CPU time is told."""

from __future__ import annotations

import multiprocessing
import resource
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from typing import Any, Generic, TypeVar

from crossfuse.errors import CrossFuseError, EngineError
from crossfuse_bench.closing import Closing

Result = TypeVar("Result")


@contextmanager
def deaf_to_interrupts() -> Iterator[None]:
    """What is started here hears no Ctrl-C: that is for the process that measures, which kills it.

    Otherwise each of them would print where it was interrupted, or wait for its parent for ever.
    """
    # Its start, at that of a first process, would end the mask.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def received(connection: Connection) -> Any:
    """What the process at the other end sends; a process that has ended is an error."""
    try:
        return connection.recv()
    except EOFError as error:
        raise EngineError(
            "a process of the measurement ended early; stderr has its reason"
        ) from error


def outcome(connection: Connection) -> Any:
    """What the process at the other end made of its work: raises what it raised."""
    found = received(connection)
    if isinstance(found, Raised):
        raise found.error()
    return found


@dataclass(frozen=True)
class Raised:
    """An error on its way to another process: many cannot be made again of their own message."""

    kind: type[Exception]
    arguments: tuple[object, ...]
    state: dict[str, Any]

    def error(self) -> Exception:
        """The error, as it was."""
        error = self.kind.__new__(self.kind, *self.arguments)
        error.__dict__.update(self.state)
        return error


def noted(error: Exception) -> Raised:
    """The error that is being handled; --debug tells where it came from in this process."""
    error.add_note(f"in a process of the measurement:\n{traceback.format_exc()}")
    return Raised(type(error), error.args, error.__dict__)


class FreshProcess(Closing, Generic[Result]):
    """Runs a function once, in a process of its own; both are sent, the function by its name."""

    def __init__(self, work: Callable[..., Result], *arguments: object) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, remote = context.Pipe()
        self._process = context.Process(target=_run, args=(remote, work, arguments))
        with deaf_to_interrupts():
            self._process.start()
        remote.close()

    def result(self) -> Result:
        """Waits for it; raises what the function raised."""
        found: Result = outcome(self._connection)
        return found

    def close(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.join()


class MeasuredProcess(Closing):
    """Runs `start` in a fresh process; `start` opens a server and returns its port.

    The function must be importable: it is sent by name.
    """

    def __init__(self, start: Callable[[], int]) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, remote = context.Pipe()
        self._process = context.Process(target=_answer, args=(start, remote), daemon=True)
        with deaf_to_interrupts():
            self._process.start()
        remote.close()
        self.address = f"127.0.0.1:{outcome(self._connection)}"

    def cpu_seconds(self) -> float:
        """User and system time of all its threads so far."""
        self._connection.send(None)
        spent: float = received(self._connection)
        return spent

    def close(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.join()


def _run(
    connection: Connection, work: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    found: object
    try:
        found = work(*arguments)
    except Exception as error:
        found = noted(error)
    connection.send(found)


def _answer(start: Callable[[], int], connection: Connection) -> None:
    try:
        connection.send(start())
    except CrossFuseError as error:
        connection.send(noted(error))
    while True:
        connection.recv()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        connection.send(usage.ru_utime + usage.ru_stime)
