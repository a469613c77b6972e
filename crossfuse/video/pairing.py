"""Frames of two readers into one stream of pairs, and what happens to those without a partner."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import Enum

from crossfuse.images import Pixels
from crossfuse.streaming import DropReason, Pair, Paired, Pairer, Source, Unpaired
from crossfuse.video.frames import VideoFrame
from crossfuse.video.latest import Latest


class PairPolicy(Enum):
    """What happens to a frame that has no partner."""

    WAIT = "wait"  # its partner is waited for, however long it takes
    REPEAT = "repeat"  # it is fused with the last frame of the other source
    DROP = "drop"  # it is dropped, and counted


POLICIES = tuple(policy.value for policy in PairPolicy)

# Frames a recording is read ahead; a live source that runs further ahead loses its oldest.
CAPACITY = 8
READ_AHEAD = 4
# A pair of live sources that nobody took in time.
OVERRUN = f"pair: {DropReason.OVERRUN.value}"


@dataclass(frozen=True, slots=True, eq=False)
class FramePair:
    """Two pictures of one moment, `position` microseconds on the clock of the visible source."""

    ir: Pixels
    vis: Pixels
    position: int
    arrived_at: float
    """When the later of the two was there, on the monotonic clock in seconds."""


@dataclass(slots=True)
class PairingCounts:
    """What became of the frames of both sources."""

    pairs: int = 0
    repeated: int = 0
    """Pairs for which the last frame of a source was used once more."""
    dropped: Counter[str] = field(default_factory=Counter)
    """By `source: reason`; of pairs, OVERRUN."""
    errors: Latest = field(default_factory=Latest)
    """Milliseconds between the two frames of a pair, without sign."""


# In frames: times that are further from the grid of a constant rate do not follow it.
EVEN = 0.2


class PairStream:
    """Give it frames of both sources from their threads; iterate over it for the pairs.

    live: a source never waits; else it waits until there is room, and no frame is lost. rate: of
    recordings of equal rate and length, whose frames pair by their number; None pairs by time.
    """

    def __init__(
        self,
        *,
        policy: PairPolicy,
        tolerance: int,
        offset: int,
        max_wait: float,
        live: bool,
        rate: float | None,
    ) -> None:
        self.counts = PairingCounts()
        self._policy = policy
        self._live = live
        self._numbering = None if rate is None else {source: _Numbers(rate) for source in Source}
        self._pairer: Pairer[VideoFrame] = Pairer(
            tolerance=tolerance if rate is None else 0,
            offset=offset if rate is None else 0,
            capacity=CAPACITY,
            max_wait=max_wait if live and policy is not PairPolicy.WAIT else None,
        )
        self._offset = offset
        self._inside: Counter[Source] = Counter()  # frames the pairer has not decided about
        self._last: dict[Source, VideoFrame] = {}
        self._ready: deque[FramePair] = deque()
        self._ended: set[Source] = set()
        self._stopped = False
        self._last_position: int | None = None
        self._changed = threading.Condition()

    def sink(self, source: Source) -> Callable[[VideoFrame], None]:
        """Where the reader of a source delivers."""
        return lambda frame: self._add(source, frame)

    def end(self, source: Source) -> None:
        """No frame of this source will follow."""
        with self._changed:
            self._ended.add(source)
            if not self._stopped:  # else readers end because nobody takes their frames
                self._settle(self._pairer.end(source, time.monotonic()))
            self._changed.notify_all()

    def stop(self) -> None:
        """Make no more pairs; readers that wait go on into the void."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[FramePair]:
        while (pair := self._next()) is not None:
            yield pair

    def _next(self) -> FramePair | None:
        with self._changed:
            while not self._ready:
                if self._stopped or self._finished:
                    self._changed.notify_all()
                    return None
                expiry = self._pairer.next_expiry
                now = time.monotonic()
                self._changed.wait(None if expiry is None else max(0.0, expiry - now) + 1e-3)
                if expiry is not None:
                    self._settle(self._pairer.expire(time.monotonic()))
            pair = self._ready.popleft()
            self._changed.notify_all()
            return pair

    @property
    def _finished(self) -> bool:
        """Both have ended; or one has, and the other alone makes no pairs."""
        if self._policy is PairPolicy.REPEAT and self._last:
            return len(self._ended) == len(Source)
        return any(self._inside[source] == 0 for source in self._ended)

    def _add(self, source: Source, frame: VideoFrame) -> None:
        with self._changed:
            if not self._live:
                self._changed.wait_for(lambda: self._stopped or self._has_room(source))
            if self._stopped:
                return
            self._inside[source] += 1
            position = frame.position
            if self._numbering is not None:
                position = self._numbering[source].of(position)
            self._settle(self._pairer.add(source, position, frame, time.monotonic()))
            self._changed.notify_all()

    def _has_room(self, source: Source) -> bool:
        return self._pairer.has_room(source) and len(self._ready) < READ_AHEAD

    def _settle(self, decided: list[Paired[VideoFrame]]) -> None:
        for step in decided:
            if isinstance(step, Pair):
                self._inside.subtract(Source)
                self._pair(step)
            else:
                self._inside[step.frame.source] -= 1
                self._alone(step)

    def _pair(self, pair: Pair[VideoFrame]) -> None:
        infrared, visible = pair.infrared.payload, pair.visible.payload
        self._last = {Source.INFRARED: infrared, Source.VISIBLE: visible}
        by_number = self._numbering is not None
        error = infrared.position - visible.position if by_number else pair.error
        self.counts.errors.add(abs(error) / 1e3)
        arrived = max(pair.infrared.arrived_at, pair.visible.arrived_at)
        self._emit(infrared, visible, visible.position, arrived)

    def _alone(self, step: Unpaired[VideoFrame]) -> None:
        frame, source = step.frame, step.frame.source
        other = self._last.get(source.other)
        if self._policy is not PairPolicy.REPEAT or other is None:
            self.counts.dropped[f"{source.value}: {step.reason.value}"] += 1
            return
        self._last[source] = frame.payload
        self.counts.repeated += 1
        position = frame.payload.position
        if source is Source.VISIBLE:
            self._emit(other, frame.payload, position, frame.arrived_at)
        else:
            self._emit(frame.payload, other, position + self._offset, frame.arrived_at)

    def _emit(self, ir: VideoFrame, vis: VideoFrame, position: int, arrived: float) -> None:
        """A pair, at a position after the one before."""
        if self._last_position is not None:
            position = max(position, self._last_position + 1)
        self._last_position = position
        self.counts.pairs += 1
        self._ready.append(FramePair(ir.pixels, vis.pixels, position, arrived))
        if self._live and len(self._ready) > READ_AHEAD:
            self._ready.popleft()
            self.counts.dropped[OVERRUN] += 1


class _Numbers:
    """The numbers of the frames of one recording, in which some may be missing.

    Read off the times as long as these keep to the rate, counted from then on.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._last = -1
        self._even = True

    def of(self, position: int) -> int:
        """The number of the next frame, from its time in microseconds."""
        exact = position * self._rate / 1e6
        self._even = self._even and abs(exact - round(exact)) < EVEN and round(exact) > self._last
        self._last = round(exact) if self._even else self._last + 1
        return self._last
