"""The frames of one stream between arrival and answer: order, room, drops and deadlines.

A frame moves through the window in one direction:

    push -> waiting -> take -> being fused -> settle -> answered -> next_answer
               |                                           ^
               +------- dropped (overrun, deadline) -------+

The window does no input or output, starts no thread, takes no lock and reads no clock: every
decision that depends on time gets `now`, in seconds of any clock that never goes back. So each
rule can be tested to the end; `blocking.py` adds the waits that a server or a local video needs.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Generic

from crossfuse.errors import InvalidInput
from crossfuse.streaming.frames import (
    Answer,
    Counters,
    Dropped,
    DropReason,
    Failed,
    Frame,
    Fused,
    Outcome,
    PayloadT,
    ResultT,
)
from crossfuse.streaming.rules import DropPolicy, StreamRules

MAX_UNREAD_ANSWERS = 1024
"""A sender whose frames are dropped waits too, once this many answers have not been read."""


@dataclass(slots=True, eq=False)
class _Place(Generic[ResultT]):
    """The place of one frame in the order of answers; it outlives the frame's pictures."""

    sequence: int
    frame_id: int
    outcome: Outcome[ResultT] | None = None


class FrameWindow(Generic[PayloadT, ResultT]):
    """Holds a bounded number of frames and answers each exactly once, in order of arrival.

    Frame ids must increase. A frame whose id does not is answered with InvalidInput, in its
    place, and the stream goes on with the ids that follow the last good one.

    Under DropPolicy.OLDEST only waiting frames are dropped: when all the room is taken by frames
    that are being fused or that nobody has fetched, the frame that just arrived is the oldest
    waiting one. A frame that is fused after its deadline is delivered all the same.
    """

    def __init__(self, rules: StreamRules) -> None:
        self.rules = rules
        self.counters = Counters()
        self.closed = False
        self.cancelled = False
        self._places: deque[_Place[ResultT]] = deque()  # every frame not yet delivered, in order
        self._waiting: deque[Frame[PayloadT]] = deque()
        self._unsettled: dict[int, _Place[ResultT]] = {}  # waiting or being fused, by sequence
        self._held = 0  # frames whose pictures or result are in memory
        self._last_id: int | None = None

    @property
    def has_room(self) -> bool:
        """Whether a frame may be pushed; only the delivery of an answer makes room."""
        if self.rules.drop_policy is DropPolicy.NONE:
            return len(self._places) < self.rules.max_in_flight
        return len(self._places) < MAX_UNREAD_ANSWERS + self.rules.max_in_flight

    @property
    def finished(self) -> bool:
        """Whether nothing more can come out: closed and all delivered, or cancelled."""
        return self.closed and not self._places

    @property
    def exhausted(self) -> bool:
        """Whether nothing more can be taken: closed and no frame waits."""
        return self.closed and not self._waiting

    @property
    def next_expiry(self) -> float | None:
        """When to call `expire` next, or None."""
        earliest = min((frame.expires_at for frame in self._waiting), default=math.inf)
        return None if earliest == math.inf else earliest

    def push(
        self, frame_id: int, payload: PayloadT, now: float, captured_at: float | None = None
    ) -> None:
        """Let a frame in; `captured_at` is of the same clock as `now`, without it `now` counts.

        The caller has checked `has_room`; a push without room or after the end is its mistake.
        """
        if self.closed:
            raise RuntimeError("push() after close() or cancel(); open a new stream")
        if not self.has_room:
            raise RuntimeError("push() into a full window; wait until has_room is true")
        place: _Place[ResultT] = _Place(self.counters.received, frame_id)
        self.counters.received += 1
        self._places.append(place)
        self._unsettled[place.sequence] = place
        self._held += 1
        if self._last_id is not None and frame_id <= self._last_id:
            wrong = InvalidInput(
                "frame_id",
                f"{frame_id} after {self._last_id}",
                f"numbers that increase, such as {self._last_id + 1}",
            )
            self._settle(place.sequence, Failed(wrong))
            return
        self._last_id = frame_id
        start = now if captured_at is None else min(captured_at, now)
        lifetime = math.inf if self.rules.deadline is None else self.rules.deadline
        self._waiting.append(Frame(place.sequence, frame_id, payload, now, start + lifetime))
        self.expire(now)
        if self._held > self.rules.max_in_flight:
            self._settle(self._waiting.popleft().sequence, Dropped(DropReason.OVERRUN))

    def take(self, now: float) -> Frame[PayloadT] | None:
        """The frame that has waited longest, to be fused and settled; None when none waits."""
        self.expire(now)
        return self._waiting.popleft() if self._waiting else None

    def settle(self, frame: Frame[PayloadT], outcome: Outcome[ResultT]) -> None:
        """Give a taken frame its outcome; frames may be settled in any order.

        After `cancel` this does nothing: work that was under way may still report.
        """
        if self.cancelled:
            return
        if frame.sequence not in self._unsettled:
            raise RuntimeError(f"settle() called twice for frame {frame.frame_id}")
        self._settle(frame.sequence, outcome)

    def expire(self, now: float) -> None:
        """Drop the waiting frames whose time is over."""
        late = [frame for frame in self._waiting if frame.expires_at <= now]
        for frame in late:
            self._waiting.remove(frame)
            self._settle(frame.sequence, Dropped(DropReason.DEADLINE))

    def next_answer(self) -> Answer[ResultT] | None:
        """The next answer in order, handed out once; None while its frame has no outcome."""
        outcome = self._places[0].outcome if self._places else None
        if outcome is None:
            return None
        place = self._places.popleft()
        if isinstance(outcome, Fused):
            self._held -= 1
        self.counters.delivered += 1
        return Answer(place.sequence, place.frame_id, outcome)

    def close(self) -> None:
        """No frame will follow; those inside are still fused and answered."""
        self.closed = True

    def cancel(self) -> None:
        """Nobody wants the answers any more: let go of every frame and result at once."""
        self.counters.cancelled += len(self._unsettled)
        self.closed = self.cancelled = True
        self._places.clear()
        self._waiting.clear()
        self._unsettled.clear()
        self._held = 0

    def _settle(self, sequence: int, outcome: Outcome[ResultT]) -> None:
        self._unsettled.pop(sequence).outcome = outcome
        self.counters.count(outcome)
        if not isinstance(outcome, Fused):
            self._held -= 1
