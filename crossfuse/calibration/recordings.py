"""Pairs of recordings as calibration reads them: grey, small enough, with their times."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.arrays import UInt8Array
from crossfuse.calibration.geometry import Size, shrink
from crossfuse.errors import InvalidInput
from crossfuse.images import HeldMapping, Pixels, parse_mapping
from crossfuse.video.frames import CorruptFrame
from crossfuse.video.sources import SourceOptions, open_source

MOST_FRAMES = 600
# Wide enough for the finest step of the estimate.
WIDTH = 400
DEFAULT_RATE = 25.0


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Frames of one camera, uint8 HxW, smaller than it gives them, and seconds from the first."""

    name: str
    size: Size
    """Width and height of the frames as the camera gives them."""
    frames: list[UInt8Array]
    times: NDArray[np.float64]

    @property
    def interval(self) -> float:
        """Seconds from one frame to the next."""
        if len(self.times) < 2:
            return 1 / DEFAULT_RATE
        return float(np.median(np.diff(self.times)))

    def near(self, seconds: float) -> int:
        """The number of the frame nearest to a moment."""
        return int(np.abs(self.times - seconds).argmin())


def read_recording(
    address: str,
    *,
    infrared: bool,
    options: SourceOptions,
    mapping: str = "percentile:1:99",
    frames: int = MOST_FRAMES,
    width: int = WIDTH,
) -> Recording:
    """Read at most `frames` frames of a source, at most `width` wide."""
    source = open_source(address, infrared=infrared, options=options)
    name, size = source.info.name, (source.info.width, source.info.height)
    held = HeldMapping(parse_mapping(mapping))
    pictures: list[UInt8Array] = []
    times: list[float] = []
    try:
        while len(pictures) < frames:
            try:
                frame = source.read()
            except CorruptFrame:
                continue
            if frame is None:
                break
            if frame.pixels.shape[:2] != size[::-1]:
                continue
            grey = held.apply(frame.pixels) if infrared else _grey(frame.pixels)
            pictures.append(shrink(grey, width))
            times.append(frame.position / 1e6)
    finally:
        source.close()
    if not pictures:
        raise InvalidInput(name, "no frame that can be read", "a recording of the camera")
    return Recording(name, size, pictures, np.array(times) - times[0])


def _grey(pixels: Pixels) -> UInt8Array:
    if pixels.ndim == 2:
        return np.asarray(pixels, np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
