"""Values to positions on a picture, and round numbers to mark."""

from __future__ import annotations

import math
from collections.abc import Iterable


class Scale:
    """Maps values in low..high to positions first..last."""

    def __init__(self, low: float, high: float, first: float, last: float) -> None:
        self.low, self.high = low, high
        self._first, self._last = first, last

    def place(self, value: float) -> float:
        """The position of a value."""
        share = (value - self.low) / (self.high - self.low)
        return self._first + share * (self._last - self._first)

    def ticks(self, count: int) -> list[float]:
        """At most about `count` round numbers between the ends."""
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        # Through text, because multiples of a tenth are no exact floats.
        return [float(f"{number * step:.10g}") for number in range(first, last + 1)]


def padded(values: Iterable[float], share: float = 0.06) -> tuple[float, float]:
    """Ends that leave room around the values; apart even where all values are equal."""
    known = [value for value in values if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=1.0)
    room = share * (high - low) or max(abs(high), 1e-6) * share
    return low - room, high + room
