"""Callers that let the server wait: how long they may hold a thread and a place.

A call has a thread from its first byte on, and Python's gRPC waits in it for messages. So a caller
who sends the half of one, or does not take its answer, would have it for ever. Such calls are ended
with DEADLINE_EXCEEDED, sooner while others wait for what they hold.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from contextvars import ContextVar
from typing import Any, TypeAlias

import grpc

from crossfuse.errors import DeadlineExceeded
from crossfuse_server.call_pool import CallPool
from crossfuse_server.settings import ServerSettings
from crossfuse_server.statuses import as_status

# While others wait: for a first message, which usually comes with the head of its call, and for
# the next step of a stream.
GRACE_SECONDS = 0.5
SILENT_SECONDS = 30.0

# How often is looked who lets the server wait.
LOOK_SECONDS = 0.1

Answers: TypeAlias = Callable[[Iterator[Any], grpc.ServicerContext], Generator[Any, None, None]]
Send: TypeAlias = Callable[[Any], None]


class CallerTooSlow(DeadlineExceeded):
    """The caller let the server wait for too long."""

    def __init__(self, seconds: float) -> None:
        super().__init__(
            f"message: got none, or an answer that is not taken, for {seconds:.1f} s; "
            "valid: whole messages without such pauses"
        )


class Caller:
    """One call: what the server waits for, and since when."""

    def __init__(
        self, context: grpc.ServicerContext, send: Send, pool: CallPool, unanswered: int | None
    ) -> None:
        self.pool = pool
        self.is_stream = unanswered is not None
        self.received = 0
        self.is_over = False
        """It has its status."""
        self.was_late = False
        """It was ended because the server waited for it."""
        self.context = context
        self._send = send
        self._unanswered = unanswered or 0
        self._answered = 0
        self._reading_since: float | None = None
        self._sending_since: float | None = None
        self._answered_at = 0.0

    @property
    def waits_since(self) -> float | None:
        """Since when only the caller can go on; None while it is the server's turn."""
        if self._sending_since is not None:
            return self._sending_since
        reading = self._reading_since
        if reading is None or self.received - self._answered > self._unanswered:
            return None
        return max(reading, self._answered_at)

    def next_of(self, messages: Iterator[bytes], default: bytes | None) -> bytes | None:
        """The next message, or the default after the last one."""
        self._reading_since = time.monotonic()
        try:
            message = next(messages, default)
        finally:
            self._reading_since = None
        self.received += 1
        return message

    def send(self, response: Any) -> None:
        """Send an answer; waits until the caller takes it."""
        self._sending_since = time.monotonic()
        try:
            self._send(response)
        finally:
            self._answered += 1
            self._answered_at = time.monotonic()
            self._sending_since = None

    def finish(self) -> None:
        """End the call with what it has come to."""
        self._send(None)

    def end(self, seconds: float) -> None:
        """End the call, from another thread; what waits for a message finds that there is none."""
        if self._sending_since is not None:  # a status would wait behind the answer
            self.context.cancel()
            return
        status = as_status(CallerTooSlow(seconds))
        self.context.set_code(status.code)
        self.context.set_details(status.details)
        self.context.set_trailing_metadata(status.trailing_metadata or ())
        self._send(None)


_current: ContextVar[Caller] = ContextVar("_current")


def caller_was_late() -> bool:
    """Whether the call that this thread answers was ended because its caller was too slow."""
    return _current.get().was_late


class Patience:
    """Runs handlers, and ends the calls whose caller lets them wait."""

    def __init__(self, settings: ServerSettings) -> None:
        self._message_seconds = settings.message_seconds
        self._idle_seconds = settings.idle_seconds
        self._callers: set[Caller] = set()
        self._lock = threading.Lock()

    def answering(
        self, answers: Answers, pool: CallPool, *, unanswered: int | None
    ) -> Callable[..., None]:
        """A handler in the form that lets its call be ended by another thread.

        `unanswered` is for streams: how many of their messages have no answer of their own.
        """

        def answer(messages: Iterator[Any], context: grpc.ServicerContext, send: Send) -> None:
            caller = Caller(context, send, pool, unanswered)
            _current.set(caller)
            with self._lock:
                self._callers.add(caller)
            try:
                with closing(answers(messages, context)) as found:
                    for response in found:
                        caller.send(response)
                        if not context.is_active():
                            break
            except Exception:
                if self._claim(caller):
                    raise  # gRPC sends its status
                return
            if self._claim(caller):
                caller.finish()

        handler: Any = answer
        handler.experimental_thread_pool = pool
        handler.experimental_non_blocking = True
        return answer

    def message(self, messages: Iterator[bytes]) -> bytes:
        """The one message of the call that this thread answers; empty where there is none."""
        caller = _current.get()
        message = caller.next_of(messages, b"")
        if caller.was_late:
            raise CallerTooSlow(self._message_seconds)
        return message or b""

    def messages(self, messages: Iterator[bytes]) -> Iterator[bytes]:
        """Those of the stream that this thread answers, for whichever thread reads them."""
        return self._messages(_current.get(), messages)

    def make_room(self, pool: CallPool, gives_way: Callable[[grpc.ServicerContext], bool]) -> bool:
        """End the call of a pool that waits longest for its caller; False where none should be.

        `gives_way` says of whose calls it may be one.
        """
        now = time.monotonic()
        with self._lock:
            silent = [
                (since, caller)
                for caller in self._callers
                if caller.pool is pool
                and gives_way(caller.context)
                and (since := caller.waits_since) is not None
                and now - since > _grace(caller)
            ]
            if not silent:
                return False
            since, caller = min(silent, key=lambda entry: entry[0])
            self._give_up(caller)
        caller.end(now - since)
        return True

    def watch(self, ended: threading.Event) -> None:
        """End calls until `ended` is set."""
        while not ended.wait(LOOK_SECONDS):
            now = time.monotonic()
            for caller, seconds in self._late(now):
                caller.end(seconds)

    def _messages(self, caller: Caller, messages: Iterator[bytes]) -> Iterator[bytes]:
        while (message := caller.next_of(messages, None)) is not None:
            yield message

    def _late(self, now: float) -> list[tuple[Caller, float]]:
        with self._lock:
            late = [
                (caller, now - since)
                for caller in self._callers
                if (since := caller.waits_since) is not None and now - since > self._limit(caller)
            ]
            for caller, _ in late:
                self._give_up(caller)
        return late

    def _limit(self, caller: Caller) -> float:
        idles = caller.is_stream and caller.received > 0
        limit = self._idle_seconds if idles else self._message_seconds
        return min(limit, _grace(caller)) if caller.pool.is_crowded else limit

    def _give_up(self, caller: Caller) -> None:
        caller.is_over = caller.was_late = True
        self._callers.discard(caller)

    def _claim(self, caller: Caller) -> bool:
        """Whether the call's own thread may give it its status: nobody else has."""
        with self._lock:
            self._callers.discard(caller)
            is_first, caller.is_over = not caller.is_over, True
            return is_first


def _grace(caller: Caller) -> float:
    return SILENT_SECONDS if caller.received else GRACE_SECONDS
