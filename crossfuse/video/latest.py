"""The spread of the latest of many numbers, in memory that is taken once: streams run for weeks."""

from __future__ import annotations

from array import array

from crossfuse.video.summary import Spread

# Enough for a steady 99th percentile.
KEPT = 10_000


class Latest:
    """The last KEPT numbers that were added."""

    def __init__(self) -> None:
        self._values = array("d", bytes(8 * KEPT))
        self._added = 0

    def add(self, value: float) -> None:
        """One more number, in place of the oldest one."""
        self._values[self._added % KEPT] = value
        self._added += 1

    @property
    def last(self) -> float:
        """The newest number, 0 before the first one."""
        return self._values[(self._added - 1) % KEPT]

    @property
    def spread(self) -> Spread:
        """Median, 99th percentile and largest."""
        if not self._added:
            return Spread(None, None, None)
        ordered = sorted(self._values[: min(self._added, KEPT)])
        middle, high = (ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99))
        return Spread(middle, high, ordered[-1])
