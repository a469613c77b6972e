"""Who comes in: how many calls and how many bytes, by client, and not when memory runs out."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import grpc

from crossfuse.errors import Overloaded
from crossfuse_server.memory import MIB, free_memory_share, resident_bytes
from crossfuse_server.settings import ServerSettings
from crossfuse_server.shares import Held, Identify, Shares

# How old a look at the memory may be.
LOOK_SECONDS = 0.05

RETRY_AFTER_MEMORY = 1.0


# Calls of a client that are being read, run or written, beside those that wait.
CALLS_BESIDE_QUEUE = 32


def most_calls(settings: ServerSettings) -> int:
    """How many calls of all clients may be in the server at once."""
    return 2 * (settings.max_queue + CALLS_BESIDE_QUEUE)


class MemoryWatermark:
    """Whether the process holds more memory than it should."""

    def __init__(self, limit: int, resident: Callable[[], int] = resident_bytes) -> None:
        self.limit = limit
        self._resident = resident
        self._looked_at = 0.0
        self._above = False

    @property
    def is_passed(self) -> bool:
        """Looked at anew when the last look is too old."""
        now = time.monotonic()
        if now - self._looked_at > LOOK_SECONDS:
            self._looked_at = now
            self._above = self._resident() > self.limit
        return self._above


class Admission:
    """The door of the server: calls come in before their message is read, or are refused at once.

    What has come in holds bytes: its message, then its pictures. Frames of streams are not refused
    for bytes; their stream is not read from until there is room in their client's share.
    """

    def __init__(self, settings: ServerSettings, identify: Identify) -> None:
        limit = settings.memory_limit_mb * MIB or free_memory_share()
        self.watermark = MemoryWatermark(limit)
        self.identify = identify
        self._calls = Shares(most_calls(settings))
        self._bytes = Shares(settings.queue_bytes)
        self._room = threading.Condition()

    @property
    def bytes_held(self) -> int:
        """By all calls and streams together."""
        return self._bytes.total

    @contextmanager
    def call(self, context: grpc.ServicerContext) -> Iterator[CallPass]:
        """One call, from before its message is read until its answer has left."""
        client = self.identify(context)
        if self.watermark.is_passed and self._calls.total:
            raise Overloaded(
                f"memory: got a call while the process holds more than {self.watermark.limit} "
                "bytes; valid: a retry after the time given",
                retry_after=RETRY_AFTER_MEMORY,
            )
        with Held(self._calls, client) as place, Held(self._bytes, client) as held:
            if not place.take(1):
                raise Overloaded(
                    "calls: got more at once than this client's share; valid: fewer calls at "
                    "once, or a retry after the time given",
                    retry_after=0.1,
                )
            admitted = CallPass(client, held)
            _current.set(admitted)
            yield admitted

    def wait_for_frame(
        self, client: str, held: int, amount: int, goes_on: Callable[[], bool]
    ) -> bool:
        """Wait until a stream that holds `held` bytes may take so many more; False if it ended.

        A stream that holds nothing always may: it must get on.
        """
        with self._room:
            while goes_on():
                if not held:
                    self._bytes.add(client, amount)
                    return True
                if not self.watermark.is_passed and self._bytes.take(client, amount):
                    return True
                self._room.wait(LOOK_SECONDS)
        return False

    def frame_is_gone(self, client: str, amount: int) -> None:
        """A stream holds so much less."""
        self._bytes.give_back(client, amount)
        with self._room:
            self._room.notify_all()


class CallPass:
    """A call that has come in."""

    def __init__(self, client: str, held: Held) -> None:
        self.client = client
        self._held = held

    def carry(self, amount: int) -> None:
        """The call holds so many bytes more, or is refused."""
        if not self._held.take(amount):
            raise Overloaded(
                f"bytes: got {amount} more than this client's share has left; valid: fewer or "
                "smaller pictures at once, or a retry after the time given",
                retry_after=0.1,
            )


class FrameBytes:
    """What the frames of one stream hold, from before they are queued until they are answered."""

    def __init__(self, admission: Admission, client: str, goes_on: Callable[[], bool]) -> None:
        self._admission = admission
        self._client = client
        self._goes_on = goes_on
        self._sizes: deque[int] = deque()
        self._lock = threading.Lock()
        self._ended = False

    def let_in(self, size: int) -> bool:
        """Wait until there is room for a frame; False when the stream has ended."""
        with self._lock:
            held = sum(self._sizes)
        if not self._admission.wait_for_frame(self._client, held, size, self._goes_on):
            return False
        with self._lock:
            if not self._ended:
                self._sizes.append(size)
                return True
        self._admission.frame_is_gone(self._client, size)
        return False

    def let_go(self, count: int) -> None:
        """The oldest frames have been answered."""
        with self._lock:
            gone = sum(self._sizes.popleft() for _ in range(count))
        self._admission.frame_is_gone(self._client, gone)

    def end(self) -> None:
        """Nobody wants the answers of the others any more."""
        with self._lock:
            self._ended = True
            count = len(self._sizes)
        self.let_go(count)


_current: ContextVar[CallPass] = ContextVar("_current")


def current_call() -> CallPass:
    """The pass of the call that this thread answers."""
    return _current.get()
