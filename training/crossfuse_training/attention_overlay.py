"""Maps of tokens as colours over the picture that they are about.

Orange is more than the average, blue less, and where a map is average the picture shows through.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

MORE = (255, 138, 0)
"""RGB."""
LESS = (36, 110, 255)
OPACITY = 0.75
CONTRAST = 0.55
"""Of the picture underneath, around middle grey, so that colours show in its dark parts too."""
_LEAST_SCALE = float(np.log2(1.1))
_SMALLEST = 2.0**-16


def colour_scale(values: NDArray[np.floating]) -> float:
    """The octaves above the average (1) at which the colour is full; 1 octave is twice as much.

    99 % of what is above the average stays below it. It is no less than 1.1 times, so that the
    rounding of uniform attention does not look like a pattern.
    """
    octaves = _octaves(values)
    above = octaves[octaves > 0]
    return max(_LEAST_SCALE, float(np.percentile(above, 99))) if above.size else _LEAST_SCALE


def strength(values: NDArray[np.floating], scale: float) -> NDArray[np.float32]:
    """-1 (blue) .. 1 (orange) for values of which 1 is the average."""
    clipped: NDArray[np.float32] = np.clip(_octaves(values) / np.float32(scale), -1, 1)
    return clipped


def overlay(
    picture: NDArray[np.uint8],
    values: NDArray[np.floating],
    *,
    token_side: int,
    scale: float,
    longest_side: int,
) -> NDArray[np.uint8]:
    """A map [rows,columns] of tokens over a grey picture HxW: RGB, uint8, at most that large.

    Pixels that are in no token stay grey.
    """
    height, width = picture.shape
    tokens = strength(values, scale)
    pixels = tokens.repeat(token_side, axis=0).repeat(token_side, axis=1)[:height, :width]
    missing = [(0, height - pixels.shape[0]), (0, width - pixels.shape[1])]
    pixels = np.pad(pixels, missing)[..., None]
    colour = np.where(pixels > 0, np.array(MORE, np.float32), np.array(LESS, np.float32))
    opacity = OPACITY * np.abs(pixels)
    faded = CONTRAST * picture[..., None] + (1 - CONTRAST) * 127.5
    mixed = np.rint((1 - opacity) * faded + opacity * colour).astype(np.uint8)
    factor = longest_side / max(height, width)
    if factor >= 1:
        return mixed
    shrunk = cv2.resize(mixed, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk, np.uint8)


def _octaves(values: NDArray[np.floating]) -> NDArray[np.float32]:
    return np.log2(np.maximum(values.astype(np.float32), np.float32(_SMALLEST)))
