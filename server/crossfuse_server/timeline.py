"""Where the time of one pair goes: from its arrival on, every moment belongs to one phase."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextvars import ContextVar
from itertools import pairwise

# Reading the pictures out of the message.
DECODE = "decode"
# Every wait: for a decoder, for an engine, for a processor, for the answers before it.
QUEUE = "queue"
# Running the model.
INFER = "infer"
# Writing the answer.
ENCODE = "encode"
CLOSED = ""


class Timeline:
    """The phases of one pair, in order; where one ends the next begins, so they sum to the total.

    Times are of the monotonic clock. One thread at a time has it.
    """

    __slots__ = ("_marks",)

    def __init__(self, started_at: float | None = None) -> None:
        self._marks: list[tuple[str, float]] = [
            (DECODE, time.monotonic() if started_at is None else started_at)
        ]

    def enter(self, phase: str, at: float | None = None) -> None:
        """What went on until now, or until `at`, ends; `phase` begins."""
        self._marks.append((phase, time.monotonic() if at is None else at))

    def close(self) -> None:
        """What went on until now ends, and nothing begins; only the first time counts."""
        if self._marks[-1][0] != CLOSED:
            self._marks.append((CLOSED, time.monotonic()))

    def segments(self) -> Iterator[tuple[str, float, float]]:
        """Each phase with its start and end, up to the last mark; a phase may come again.

        What a thread enters that has not heard of the end, because a caller went away, is left out.
        """
        for (phase, start), (_, end) in pairwise(self._marks):
            if phase == CLOSED:
                return
            yield phase, start, end

    def spent(self) -> dict[str, float]:
        """Seconds in each phase."""
        sums = dict.fromkeys((DECODE, QUEUE, INFER, ENCODE), 0.0)
        for phase, start, end in self.segments():
            sums[phase] += end - start
        return sums


_arrived_at: ContextVar[float] = ContextVar("_arrived_at")


def message_is_in() -> None:
    """This thread has just got the bytes of a message."""
    _arrived_at.set(time.monotonic())


def arrived_at() -> float:
    """When this thread got the bytes of the message it answers."""
    return _arrived_at.get()
