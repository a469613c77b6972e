"""Pairs the frames of two cameras by frame id, or by capture time with a tolerance.

A frame's `position` is an integer that increases within its source: a frame id (tolerance 0), or
a capture time in microseconds. Each frame is used once, paired with the nearest frame of the
other source, and every frame comes out exactly once: in a Pair or as Unpaired with the reason.
Positions that do not increase are reported, so a source whose clock jumps must restamp its frames.

To know that no nearer partner follows, a pair that is not exact waits for the next frame of the
source that is behind. For live cameras `max_wait` limits this, and the wait for a partner at all.
Like the window this does no input or output and reads no clock.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Generic, TypeAlias

from crossfuse.errors import InvalidInput
from crossfuse.streaming.frames import DropReason, PayloadT


class Source(Enum):
    """The camera a frame comes from."""

    INFRARED = "infrared"
    VISIBLE = "visible"

    @property
    def other(self) -> Source:
        """The other camera."""
        return Source.VISIBLE if self is Source.INFRARED else Source.INFRARED


@dataclass(frozen=True, slots=True, eq=False)
class Stamped(Generic[PayloadT]):
    """A frame of one source; `arrived_at` is of the monotonic clock, in seconds."""

    source: Source
    position: int
    payload: PayloadT
    arrived_at: float


@dataclass(frozen=True, slots=True, eq=False)
class Pair(Generic[PayloadT]):
    """Two frames of the same moment; `error` is infrared minus visible, after the offset."""

    infrared: Stamped[PayloadT]
    visible: Stamped[PayloadT]
    error: int


@dataclass(frozen=True, slots=True, eq=False)
class Unpaired(Generic[PayloadT]):
    """A frame that gets no partner."""

    frame: Stamped[PayloadT]
    reason: DropReason


Paired: TypeAlias = Pair[PayloadT] | Unpaired[PayloadT]


class Pairer(Generic[PayloadT]):
    """Matches two sources; holds at most `capacity` frames of each.

    `offset` is added to infrared positions before comparing: the fixed delay between the clocks.
    A source that runs `capacity` frames ahead loses its oldest frame; a reader of files that asks
    `has_room` before reading never loses one so.
    """

    def __init__(
        self,
        *,
        tolerance: int = 0,
        offset: int = 0,
        capacity: int = 32,
        max_wait: float | None = None,
    ) -> None:
        if tolerance < 0:
            raise InvalidInput("tolerance", str(tolerance), "0 or more, such as 20000 (20 ms)")
        if capacity < 2:
            raise InvalidInput("capacity", str(capacity), "2 or more, such as 32")
        if max_wait is not None and max_wait <= 0:
            raise InvalidInput("max_wait", f"{max_wait} s", "a positive number, such as 0.1")
        self._tolerance = tolerance
        self._offset = offset
        self._capacity = capacity
        self._max_wait = max_wait
        self._queues: dict[Source, deque[Stamped[PayloadT]]] = {s: deque() for s in Source}
        self._last: dict[Source, int] = {}
        self._ended: set[Source] = set()

    def has_room(self, source: Source) -> bool:
        """Whether a frame of this source can be added without losing one."""
        return len(self._queues[source]) < self._capacity

    @property
    def next_expiry(self) -> float | None:
        """When to call `expire` next, or None."""
        heads = [queue[0].arrived_at for queue in self._queues.values() if queue]
        return min(heads) + self._max_wait if heads and self._max_wait is not None else None

    def add(
        self, source: Source, position: int, payload: PayloadT, now: float
    ) -> list[Paired[PayloadT]]:
        """Let a frame in; returns what is decided by it, in order."""
        if source in self._ended:
            raise RuntimeError(f"add() of a frame of the {source.value} source after its end")
        frame = Stamped(source, position, payload, now)
        last = self._last.get(source)
        if last is not None and position <= last:
            return [Unpaired(frame, DropReason.OUT_OF_ORDER)]
        self._last[source] = position
        self._queues[source].append(frame)
        decided = self._match(now)
        if len(self._queues[source]) > self._capacity:
            decided.append(Unpaired(self._queues[source].popleft(), DropReason.OVERRUN))
        return decided

    def expire(self, now: float) -> list[Paired[PayloadT]]:
        """Decide about the frames that have waited `max_wait`."""
        return self._match(now)

    def end(self, source: Source, now: float) -> list[Paired[PayloadT]]:
        """No frame of this source will follow; after both ends nothing is left inside."""
        self._ended.add(source)
        return self._match(now)

    def _match(self, now: float) -> list[Paired[PayloadT]]:
        decided: list[Paired[PayloadT]] = []
        while (step := self._decide(now)) is not None:
            decided.append(step)
        return decided

    def _decide(self, now: float) -> Paired[PayloadT] | None:
        """Settle the oldest frame of a source, with or without a partner; None: wait for more."""
        infrared, visible = (self._queues[source] for source in Source)
        if not infrared or not visible:
            return self._decide_alone(now)
        error = self._moment(infrared[0]) - self._moment(visible[0])
        behind, ahead = (infrared, visible) if error <= 0 else (visible, infrared)
        if abs(error) > self._tolerance:
            return Unpaired(behind.popleft(), DropReason.UNPAIRED)
        if error != 0:
            if len(behind) > 1:
                if abs(self._moment(behind[1]) - self._moment(ahead[0])) < abs(error):
                    return Unpaired(behind.popleft(), DropReason.UNPAIRED)
            elif behind[0].source not in self._ended and not (
                self._is_late(behind[0], now) or self._is_late(ahead[0], now)
            ):
                return None
        return Pair(infrared.popleft(), visible.popleft(), error)

    def _decide_alone(self, now: float) -> Unpaired[PayloadT] | None:
        for queue in self._queues.values():
            if queue and queue[0].source.other in self._ended:
                return Unpaired(queue.popleft(), DropReason.UNPAIRED)
            if queue and self._is_late(queue[0], now):
                return Unpaired(queue.popleft(), DropReason.DEADLINE)
        return None

    def _moment(self, frame: Stamped[PayloadT]) -> int:
        return frame.position + (self._offset if frame.source is Source.INFRARED else 0)

    def _is_late(self, frame: Stamped[PayloadT], now: float) -> bool:
        return self._max_wait is not None and frame.arrived_at + self._max_wait <= now
