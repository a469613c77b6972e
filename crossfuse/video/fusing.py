"""Fusing a stream of pairs under the rules of crossfuse/streaming.

The pairs wait in one window, whatever fuses them: recordings are held back until there is room, of
live sources the oldest waiting pair gives way to the newest, and answers come in order.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from crossfuse.arrays import UInt8Array
from crossfuse.streaming import Answer, BlockingWindow, DropPolicy, StreamRules


@dataclass(frozen=True, slots=True, eq=False)
class ReadyPair:
    """A pair as models take it: ir uint8 HxW; vis, of the same size, uint8 HxWx3 RGB or HxW."""

    ir: UInt8Array
    vis: UInt8Array
    position: int
    arrived_at: float


@dataclass(frozen=True, slots=True, eq=False)
class FusedPair:
    """A pair and the picture made of it."""

    pair: ReadyPair
    fused: UInt8Array


Window = BlockingWindow[ReadyPair, FusedPair]


class Backend(Protocol):
    """What takes pairs out of a window and settles them, in a thread of the caller."""

    in_flight: int
    restarts: int

    def work(self, window: Window) -> None:
        """Settle frames until the window has no more."""


class FusingStream:
    """Runs pairs through a backend; iterate over `answers`."""

    def __init__(self, backend: Backend, *, live: bool, deadline: float | None) -> None:
        self._backend = backend
        self._window: Window = BlockingWindow(
            StreamRules(
                max_in_flight=backend.in_flight,
                drop_policy=DropPolicy.OLDEST if live else DropPolicy.NONE,
                deadline=deadline,
            )
        )
        self.failure: Exception | None = None
        """What ended the work before its time."""

    @property
    def window(self) -> Window:
        """The window, for its counters."""
        return self._window

    def answers(self, pairs: Iterable[ReadyPair]) -> Iterator[Answer[FusedPair]]:
        """The answers, in order; two threads feed and fuse. Raises what ended them early."""
        threads = [
            threading.Thread(target=self._feed, args=(pairs,), name="pairs", daemon=True),
            threading.Thread(target=self._work, name="fusing", daemon=True),
        ]
        for thread in threads:
            thread.start()
        yield from self._window.answers()
        if self.failure is not None:
            raise self.failure

    @property
    def restarts(self) -> int:
        """How often a lost server was come back to."""
        return self._backend.restarts

    def stop(self) -> None:
        """Take no more pairs; what is inside is finished."""
        self._window.close()

    def _feed(self, pairs: Iterable[ReadyPair]) -> None:
        try:
            for number, pair in enumerate(pairs):
                if not self._window.push(number, pair, pair.arrived_at):
                    return
            self._window.close()
        except Exception as error:
            self.failure = error
            self._window.close()

    def _work(self) -> None:
        try:
            self._backend.work(self._window)
        except Exception as error:
            self.failure = error
            self._window.cancel()
