"""How many calls ended how, and how many are under way."""

from __future__ import annotations

import threading
from collections import Counter

import grpc


class Calls:
    """How many calls of each method ended with which status, and how many are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._ended: Counter[tuple[str, str]] = Counter()
        self._active = 0

    def begin(self, context: grpc.ServicerContext) -> None:
        """A call starts; it is under way until its answer has left."""
        with self._lock:
            self._active += 1
        if not context.add_callback(self._leave):
            self._leave()

    def end(self, method: str, status: str) -> None:
        """The outcome of a call is known."""
        with self._lock:
            self._ended[method, status] += 1

    def _leave(self) -> None:
        with self._lock:
            self._active -= 1
            self._idle.notify_all()

    def wait_until_idle(self, timeout: float) -> bool:
        """Whether all calls ended within the time."""
        with self._lock:
            return self._idle.wait_for(lambda: self._active == 0, timeout)

    def total_when_idle(self) -> int | None:
        """How many calls ended so far; None while any is under way."""
        with self._lock:
            return None if self._active else self._ended.total()

    @property
    def active(self) -> int:
        """How many are under way."""
        return self._active

    def ended(self) -> dict[tuple[str, str], int]:
        """(method, status) -> number of calls."""
        with self._lock:
            return dict(self._ended)
