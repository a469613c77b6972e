"""One at a time, in the order of asking: streams that share a model get it in turns."""

from __future__ import annotations

import threading
from collections import deque
from types import TracebackType
from typing import Any
from weakref import WeakKeyDictionary


class Turns:
    """A lock that nobody can take twice while another waits, as plain locks allow."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._waiting: deque[threading.Event] = deque()
        self._taken = False

    def __enter__(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            turn = threading.Event()
            self._waiting.append(turn)
        turn.wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._taken = False


_turns: WeakKeyDictionary[Any, Turns] = WeakKeyDictionary()
_guard = threading.Lock()


def turns_of(model: object) -> Turns:
    """The turns of a model: the same for everybody who shares it."""
    with _guard:
        return _turns.setdefault(model, Turns())
