"""How long the engines of a model take, as measured on what they ran."""

from __future__ import annotations

import threading
from collections import deque
from time import monotonic

# How far the running mean follows each measurement.
FOLLOW = 0.2

# What the least time of a pair is taken from. When it is older than that nothing is refused for it:
# a machine that was slow for a moment must find out that it is fast again.
RECENT_RUNS = 32
TRUSTED_SECONDS = 5.0

# Before anything was measured.
GUESS_PER_RUN = 0.05


class Pace:
    """Seconds per pixel of the recent runs; a run is one call of an engine with a batch."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._mean: float | None = None
        self._recent: deque[float] = deque(maxlen=RECENT_RUNS)
        self._measured_at = 0.0

    def add(self, seconds: float, pixels: int) -> None:
        """A run took so long for so many pixels in all."""
        each = seconds / pixels
        with self._lock:
            self._mean = each if self._mean is None else self._mean + FOLLOW * (each - self._mean)
            self._recent.append(each)
            self._measured_at = monotonic()

    def guess(self, seconds: float, pixels: int) -> None:
        """What to expect before the first run; nothing is refused for it."""
        self._mean = seconds / pixels

    def expected(self, pixels: int) -> float:
        """Seconds so many pixels will take."""
        mean = self._mean
        return GUESS_PER_RUN if mean is None else mean * pixels

    def least(self, pixels: int) -> float:
        """Seconds so many pixels take at the very least; 0 when that is not known of late."""
        with self._lock:
            if not self._recent or monotonic() - self._measured_at > TRUSTED_SECONDS:
                return 0.0
            return min(self._recent) * pixels
