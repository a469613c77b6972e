"""How steady the fused stream is beside the visible one: flicker, measured frame by frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

# Grey levels: a smaller spread is rounding, not change.
EVEN = 1e-4


class FlickerMeter:
    """Spread over time of the change of the frame mean, fused over visible; constant memory."""

    def __init__(self) -> None:
        self._last: NDArray[np.float64] | None = None
        self._count = 0
        self._sum = np.zeros(2)
        self._squares = np.zeros(2)

    def add(self, fused: NDArray[np.uint8], vis: NDArray[np.uint8]) -> None:
        """The next frame: uint8 HxWx3 RGB or HxW."""
        means = np.array([_mean(fused), _mean(vis)])
        if self._last is not None:
            change = means - self._last
            self._count += 1
            self._sum += change
            self._squares += change**2
        self._last = means

    @property
    def ratio(self) -> float | None:
        """None for fewer than 3 frames and where the visible mean changes evenly."""
        if self._count < 2:
            return None
        variance = np.maximum(self._squares / self._count - (self._sum / self._count) ** 2, 0)
        fused, visible = np.sqrt(variance)
        return float(fused / visible) if visible > EVEN else None


def _mean(picture: NDArray[np.uint8]) -> float:
    """The mean luma."""
    channels = cv2.mean(picture)
    if picture.ndim == 2:
        return float(channels[0])
    return float(0.299 * channels[0] + 0.587 * channels[1] + 0.114 * channels[2])
