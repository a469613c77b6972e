"""What goes into a stream and what comes out: frames, their outcomes, and the counters.

Every frame has exactly one outcome:

Fused(result)     the engine made a picture
Dropped(reason)   a rule of the stream decided against the frame; nothing is wrong with it
Failed(error)     something is wrong with this frame; the stream goes on
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeAlias, TypeVar

PayloadT = TypeVar("PayloadT")
ResultT = TypeVar("ResultT")


class DropReason(Enum):
    """Why a frame without fault is not fused."""

    OVERRUN = "overrun"  # newer frames needed the room
    DEADLINE = "deadline"  # it had waited as long as it may
    UNPAIRED = "unpaired"  # the other camera has no frame near enough
    OUT_OF_ORDER = "out of order"  # it is not later than the frame before it


@dataclass(frozen=True, slots=True, eq=False)
class Frame(Generic[PayloadT]):
    """A frame that was taken from a stream and must be settled; times are of the monotonic clock.

    `frame_id` is the sender's number, `sequence` counts every frame of this stream from 0.
    `expires_at` is infinite without a deadline: whoever queues the frame again can obey it.
    """

    sequence: int
    frame_id: int
    payload: PayloadT
    arrived_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Fused(Generic[ResultT]):
    """The engine made a picture of the frame."""

    result: ResultT


@dataclass(frozen=True, slots=True)
class Dropped:
    """A rule of the stream decided against the frame."""

    reason: DropReason


@dataclass(frozen=True, slots=True)
class Failed:
    """Something is wrong with this frame alone."""

    error: Exception


Outcome: TypeAlias = Fused[ResultT] | Dropped | Failed


@dataclass(frozen=True, slots=True)
class Answer(Generic[ResultT]):
    """The one answer to a frame; answers come in the order in which the frames arrived."""

    sequence: int
    frame_id: int
    outcome: Outcome[ResultT]


@dataclass(slots=True)
class Counters:
    """What became of the frames so far; an outcome counts when it is known, not when it is sent.

    received = fused + failed + every `dropped` + cancelled + pending, at any moment.
    """

    received: int = 0
    fused: int = 0
    failed: int = 0
    dropped: Counter[DropReason] = field(default_factory=Counter)
    cancelled: int = 0
    """Frames without an outcome when the stream was cancelled."""
    delivered: int = 0
    """Answers handed out."""

    @property
    def pending(self) -> int:
        """Frames that wait or are being fused."""
        return self.received - self.fused - self.failed - self.dropped.total() - self.cancelled

    def count(self, outcome: Outcome[ResultT]) -> None:
        """Add one outcome."""
        if isinstance(outcome, Fused):
            self.fused += 1
        elif isinstance(outcome, Failed):
            self.failed += 1
        else:
            self.dropped[outcome.reason] += 1
