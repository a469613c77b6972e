"""Steady infrared: undoes the jumps of a thermal camera's own gain control, frame by frame.

Such a camera stretches what it sees to its 8 bits anew all the time, and a body on the horizon
makes everything else darker at once. That is one line through all grey levels; found by a fit in
which moving things do not count, it is taken back, and then let in slowly, so that a scene that
really warms up still does so on the screen.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.arrays import UInt8Array

Floats = NDArray[np.float64]
Line = tuple[float, float]
"""Gain and offset."""

# Frames are compared at this size: fast, and without the noise of single pixels.
THUMBNAIL = (80, 60)
FITS = 4
# A frame is brought to the brightness of so many shown before it: the line to a single one is too
# uncertain, and would itself make the picture tremble.
REMEMBERED = 5

# Share of what is held back that is let in with every frame: half of it in two to three seconds.
LET_IN = 0.01

# Gain to the frames before beyond which they show different scenes, and typical distance to the
# fitted line, in grey levels, beyond which no line explains the change.
MOST_GAIN = 1.5
MOST_SPREAD = 6.0

# Distance to the line, in grey levels, that says nothing: the camera rounds. Beyond so many typical
# distances a place counts the less the further it is off: something moved there.
ROUNDING = 1.0
STAYED = 3.0

# Spread of the levels of a frame below which there is nothing to fit a line to.
LEAST_CONTRAST = 1.0

_LEVELS = np.arange(256, dtype=np.float32)


class SteadyInfrared:
    """The infrared of one stream; a change of scene starts anew with the frame that brings it."""

    def __init__(self) -> None:
        self._shown: list[Floats] = []

    def apply(self, ir: UInt8Array) -> UInt8Array:
        """The next frame, uint8 [H,W], in the brightness of those before it."""
        small = cv2.resize(ir, THUMBNAIL, interpolation=cv2.INTER_AREA).ravel().astype(np.float64)
        line = _line(small, np.array(self._shown)) if self._shown else None
        if line is None:
            self._shown = [small]
            return ir
        gain = 1 + (line[0] - 1) * (1 - LET_IN)
        offset = line[1] * (1 - LET_IN)
        # What is let in is no change of the scene: the frames before are shown with it from now on.
        ratio = gain / line[0]
        before = [ratio * (shown - line[1]) + offset for shown in self._shown[1 - REMEMBERED :]]
        self._shown = [*before, gain * small + offset]
        levels = gain * _LEVELS + offset
        if np.abs(levels - _LEVELS).max() < 0.5:
            return ir
        table = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
        return np.asarray(cv2.LUT(ir, table), np.uint8)


def _line(now: Floats, shown: Floats) -> Line | None:
    """The line from the levels of a frame [N] to those of frames [K,N]; None where none fits.

    It gives what stayed in place the mean and the spread it had. The spread is that of each frame,
    not of their average, which has less noise and, when the camera turns, less contrast: the
    picture would fade a little with every frame. Nor is it least squares, for the same reason.
    """
    average, square = shown.mean(axis=0), np.square(shown).mean(axis=0)
    weights = np.ones_like(now)
    gain, offset, spread = 1.0, 0.0, 0.0
    for _ in range(FITS):
        total = weights.sum()
        mean_now, means = weights @ now / total, shown @ weights / total
        spread_now = weights @ np.square(now - mean_now) / total
        spread_shown = weights @ square / total - np.square(means).mean()
        if min(spread_now, spread_shown) < LEAST_CONTRAST**2:
            return None
        gain = float(np.sqrt(spread_shown / spread_now))
        offset = float(means.mean() - gain * mean_now)
        distances = np.abs(average - gain * now - offset)
        spread = 1.5 * float(np.median(distances))
        weights = 1 / np.maximum(distances / (STAYED * (spread + ROUNDING)), 1) ** 2
    fits = 1 / MOST_GAIN < gain < MOST_GAIN and spread < MOST_SPREAD
    return (gain, offset) if fits else None
