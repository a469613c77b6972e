"""When Ray asks a replica for its health: what its silence means."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

# Ray asks replicas that serve, and no more those that it replaces, to which it says nothing at all:
# it waits for their calls to end. So many usual pauses without a question are such a silence.
SILENT_PAUSES = 3.0

# Pauses that say what is usual.
REMEMBERED = 5


class HealthChecks:
    """Notices that the questions have ended."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last = math.inf
        self._pauses: deque[float] = deque(maxlen=REMEMBERED)

    def note(self) -> None:
        """Ray asks now."""
        now = self._clock()
        if self._last < now:
            self._pauses.append(now - self._last)
        self._last = now

    def have_ended(self) -> bool:
        """Whether they have; said once, until they begin again: their end may be Ray's own."""
        silence = self._clock() - self._last
        ended = bool(self._pauses) and silence > SILENT_PAUSES * max(self._pauses)
        if ended:
            self._last = math.inf
        return ended
