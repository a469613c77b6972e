"""From positions in microseconds to the ticks of a container."""

from __future__ import annotations

from fractions import Fraction

LEAST_TIMESCALE = 10_000
SLOWEST = Fraction(1, 1001)
# A position this near to a multiple of the frame interval is meant to be that multiple.
NEAR = 0.1


class Ticks:
    """Turns positions into ticks; at a constant rate every frame is exactly as long as the next."""

    def __init__(self, fps: float) -> None:
        self.rate = rate = max(Fraction(fps).limit_denominator(1001), SLOWEST)
        """Frames a second, as containers want them."""
        repeat = -(-LEAST_TIMESCALE // rate.numerator)
        self.timescale = rate.numerator * repeat
        self.interval = rate.denominator * repeat
        """Ticks of one frame."""
        self._last = -1

    def at(self, position: int) -> int:
        """The ticks of a position; later than those of the position before."""
        exact = position * self.timescale / 1e6
        frames = round(exact / self.interval)
        near = abs(exact - frames * self.interval) < NEAR * self.interval
        ticks = frames * self.interval if near else round(exact)
        self._last = max(ticks, self._last + 1)
        return self._last
