"""What a sink is, and the frames it takes."""

from __future__ import annotations

from typing import Protocol

import cv2
import numpy as np

from crossfuse.arrays import UInt8Array


class Sink(Protocol):
    """Takes the frames of the output in order; OutputError where it cannot."""

    description: str
    """What it makes, for the summary."""

    def write(self, picture: UInt8Array, position: int) -> None:
        """A frame, uint8 HxWx3 RGB or HxW, `position` microseconds from the first one."""

    def close(self) -> None:
        """Finish; what was written can be used afterwards."""


def even_size(size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of a video of such pictures: encoders need even ones."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def even(picture: UInt8Array) -> UInt8Array:
    """A picture of that size: its last column and row are repeated where needed."""
    height, width = picture.shape[:2]
    if height % 2 == 0 and width % 2 == 0:
        return picture
    padded = cv2.copyMakeBorder(picture, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    return np.asarray(padded, np.uint8)
