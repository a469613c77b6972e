"""Steady brightness for models that stretch every frame to its own range.

A `minmax` head maps the darkest value of a frame to black and the brightest to white: one hot spot
that comes into view darkens everything else, and the video flickers. What such a head does to a
frame is affine, so it can be undone: the frame gets the brightness and contrast it would have if
the stretch had stayed as it was, as told by the sources, which do not flicker.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.arrays import UInt8Array

# Statistics are taken from pictures this small: fast, and without the noise of single pixels.
THUMBNAIL = (64, 64)

# Mean difference of two thumbnails, in grey levels, above which they show different scenes.
SCENE_CHANGE = 30.0

# How far a correction may stretch or flatten a frame.
MOST_GAIN = 2.0
LEAST_CONTRAST = 1.0

_LEVELS = np.arange(256, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class SourceLook:
    """What the two sources of a frame look like together."""

    thumbnail: NDArray[np.float32]
    mean: float
    contrast: float


def look_at(ir: UInt8Array, vis: UInt8Array) -> SourceLook:
    """The look of ir, uint8 [H,W], and vis, uint8 [H,W,3] RGB."""
    grey = cv2.cvtColor(_small(vis), cv2.COLOR_RGB2GRAY)
    thumbnail = np.asarray((_small(ir).astype(np.float32) + grey) / 2, np.float32)
    return SourceLook(thumbnail, float(thumbnail.mean()), _contrast(thumbnail))


class HeldBrightness:
    """The stretch of one stream; follows the model by `follow` of the way with every frame.

    A change of scene starts anew with the frame that brings it.
    """

    def __init__(self, follow: float = 0.05) -> None:
        self._follow = follow
        self._before: SourceLook | None = None
        self._offset = 0.0
        self._ratio = 1.0

    def reset(self) -> None:
        """The next frame is the first one."""
        self._before = None

    def apply(self, fused: UInt8Array, sources: SourceLook) -> UInt8Array:
        """The next frame, uint8 [H,W,3] RGB, in the brightness of those before it."""
        thumbnail = cv2.cvtColor(_small(fused), cv2.COLOR_RGB2GRAY).astype(np.float32)
        mean, contrast = float(thumbnail.mean()), _contrast(thumbnail)
        offset, ratio = mean - sources.mean, contrast / sources.contrast
        if self._before is None or _differ(self._before, sources):
            self._offset, self._ratio = offset, ratio
        else:
            self._offset += self._follow * (offset - self._offset)
            self._ratio += self._follow * (ratio - self._ratio)
        self._before = sources
        gain = self._ratio * sources.contrast / contrast
        gain = min(max(gain, 1 / MOST_GAIN), MOST_GAIN)
        return _stretch(fused, gain, mean, sources.mean + self._offset)


def _stretch(fused: UInt8Array, gain: float, mean: float, wanted: float) -> UInt8Array:
    """Move the luma so that `mean` becomes `wanted`; the colour differences stay."""
    change = (_LEVELS - mean) * gain + wanted - _LEVELS
    if np.abs(change).max() < 0.5:
        return fused
    luma = np.asarray(cv2.cvtColor(fused, cv2.COLOR_RGB2GRAY), np.uint8)
    shift = np.round(change).astype(np.int16).take(luma)
    return np.asarray(np.clip(fused + shift[..., None], 0, 255), np.uint8)


def _small(picture: UInt8Array) -> UInt8Array:
    return np.asarray(cv2.resize(picture, THUMBNAIL, interpolation=cv2.INTER_AREA), np.uint8)


def _contrast(thumbnail: NDArray[np.float32]) -> float:
    return max(float(thumbnail.std()), LEAST_CONTRAST)


def _differ(one: SourceLook, other: SourceLook) -> bool:
    return float(np.abs(one.thumbnail - other.thumbnail).mean()) > SCENE_CHANGE
