"""How long the GPU takes for each phase of a call, by events in its stream; for measurements."""

from __future__ import annotations

from crossfuse.engines.tensorrt_cuda import Cuda
from crossfuse.engines.tensorrt_stream import Stream

PHASES = ("upload", "compute", "download")
END = "end"


class PhaseClock:
    """Notes when each phase begins. From there to the next mark it includes what the GPU waited.

    A call may run in several parts, one after the other: their times are added up.
    """

    def __init__(self, cuda: Cuda) -> None:
        self._events = {name: cuda.event() for name in (*PHASES, END)}
        self._sums = dict.fromkeys(PHASES, 0.0)

    def mark(self, stream: Stream, phase: str) -> None:
        """Queue the begin of a phase, or `END`."""
        stream.record(self._events[phase])

    def note(self) -> None:
        """Add the times of what was queued, once its stream has been synchronised."""
        events = list(self._events.values())
        for phase, begin, end in zip(PHASES, events, events[1:], strict=False):
            self._sums[phase] += end.since(begin)

    def taken(self) -> dict[str, float]:
        """Milliseconds by phase since the last time this was asked."""
        found, self._sums = self._sums, dict.fromkeys(PHASES, 0.0)
        return found

    def free(self) -> None:
        """Give the events back."""
        for event in self._events.values():
            event.free()
