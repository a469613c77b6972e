"""Steady infrared: undoes the jumps of a thermal camera's own gain control, frame by frame.

Such a camera stretches what it sees to its 8 bits anew all the time, and a body on the horizon
makes everything else darker at once. From one frame to the next that is one line through all grey
levels; found by a fit in which moving things do not count, it is taken back, and then let in
slowly, so that a scene that really warms up still does so on the screen.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

UInt8Array = NDArray[np.uint8]
Line = tuple[float, float]
"""Gain and offset."""

# Frames are compared at this size: fast, and without the noise of single pixels.
THUMBNAIL = (80, 60)
FITS = 4

# Share of what is held back that is let in with every frame: half of it in two to three seconds.
LET_IN = 0.01

# Gain between two frames beyond which they show different scenes, and typical distance to the
# fitted line, in grey levels, beyond which no line explains the change.
MOST_GAIN = 1.5
MOST_SPREAD = 6.0

# Spread of the levels of a frame below which there is nothing to fit a line to.
LEAST_CONTRAST = 1.0

_SAME: Line = (1.0, 0.0)
_LEVELS = np.arange(256, dtype=np.float32)


class SteadyInfrared:
    """The infrared of one stream; a change of scene starts anew with the frame that brings it."""

    def __init__(self) -> None:
        self._before: NDArray[np.float64] | None = None
        self._held: Line = _SAME

    def apply(self, ir: UInt8Array) -> UInt8Array:
        """The next frame, uint8 [H,W], in the brightness of those before it."""
        small = cv2.resize(ir, THUMBNAIL, interpolation=cv2.INTER_AREA).ravel().astype(np.float64)
        change = None if self._before is None else _change(self._before, small)
        self._before = small
        if change is None:
            self._held = _SAME
            return ir
        gain = 1 + (self._held[0] / change[0] - 1) * (1 - LET_IN)
        offset = (self._held[1] - self._held[0] * change[1] / change[0]) * (1 - LET_IN)
        self._held = gain, offset
        levels = gain * _LEVELS + offset
        if np.abs(levels - _LEVELS).max() < 0.5:
            return ir
        table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        return np.asarray(cv2.LUT(ir, table), np.uint8)


def _change(before: NDArray[np.float64], now: NDArray[np.float64]) -> Line | None:
    """The line from the levels before to those now; None where no line explains the change."""
    weights = np.ones_like(now)
    gain, offset, spread = 1.0, 0.0, 0.0
    for _ in range(FITS):
        total = weights.sum()
        mean_before, mean_now = (weights @ before) / total, (weights @ now) / total
        spread_before = weights @ (before - mean_before) ** 2
        spread_now = weights @ (now - mean_now) ** 2
        if min(spread_before, spread_now) < total * LEAST_CONTRAST**2:
            return None
        # The ratio of the spreads, not the least squares: those take the noise of one frame for
        # contrast that the next one lacks, every time anew.
        gain = float(np.sqrt(spread_now / spread_before))
        offset = mean_now - gain * mean_before
        distance = np.abs(now - gain * before - offset)
        spread = 1.5 * float(np.median(distance)) + 0.1
        weights = 1 / np.maximum(distance / (1.5 * spread), 1)
    fits = 1 / MOST_GAIN < gain < MOST_GAIN and spread < MOST_SPREAD
    return (gain, offset) if fits else None
