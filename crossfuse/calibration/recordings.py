"""Pairs of recordings as calibration reads them: grey, small enough, with their times."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.arrays import UInt8Array
from crossfuse.calibration.geometry import Size, shrink
from crossfuse.errors import InvalidInput
from crossfuse.images import DEFAULT_MAPPING, HeldMapping, IrMapping, Pixels
from crossfuse.video.frames import CorruptFrame, Source
from crossfuse.video.sources import SourceOptions, open_source

MOST_FRAMES = 600
# Wide enough for the finest step of the estimate.
WIDTH = 400
DEFAULT_RATE = 25.0


@dataclass(frozen=True, slots=True, eq=False)
class Recording:
    """Frames of one camera, uint8 HxW, smaller than it gives them, and their times in seconds."""

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


def read_recordings(
    ir: str,
    vis: str,
    *,
    options: SourceOptions,
    mapping: IrMapping = DEFAULT_MAPPING,
    frames: int = MOST_FRAMES,
    width: int = WIDTH,
) -> tuple[Recording, Recording]:
    """Read at most `frames` frames of each camera at the same time, at most `width` wide.

    A recording's times count from its beginning; those of cameras that are live have one clock.
    """
    stop = threading.Event()
    held = HeldMapping(mapping)

    def infrared(pixels: Pixels) -> UInt8Array:
        return shrink(held.apply(pixels), width)

    def visible(pixels: Pixels) -> UInt8Array:
        return shrink(_grey(pixels), width)

    with ExitStack() as stack:
        sources = []
        for address, is_infrared in ((ir, True), (vis, False)):
            sources.append(open_source(address, infrared=is_infrared, options=options))
            stack.callback(sources[-1].close)
        pool = stack.enter_context(ThreadPoolExecutor(len(sources)))
        stack.callback(stop.set)  # first of all: one that fails is not waited for by the other
        reading = [
            pool.submit(_read, source, make, frames, stop)
            for source, make in zip(sources, (infrared, visible), strict=True)
        ]
        pictures, times = zip(*(task.result() for task in reading), strict=True)
    firsts = [
        one[0] if source.info.live else 0.0 for source, one in zip(sources, times, strict=True)
    ]
    begins = [min(firsts)] * 2 if all(source.info.live for source in sources) else firsts
    first, second = (
        Recording(
            source.info.name,
            (source.info.width, source.info.height),
            pictures[number],
            (times[number] - begins[number]) / 1e6,
        )
        for number, source in enumerate(sources)
    )
    return first, second


def _read(
    source: Source, make: Callable[[Pixels], UInt8Array], frames: int, stop: threading.Event
) -> tuple[list[UInt8Array], NDArray[np.float64]]:
    """Pictures of a source, and their positions in microseconds."""
    size = (source.info.width, source.info.height)
    pictures: list[UInt8Array] = []
    times: list[int] = []
    while len(pictures) < frames and not stop.is_set():
        try:
            frame = source.read()
        except CorruptFrame:
            continue
        if frame is None:
            break
        if frame.pixels.shape[:2] != size[::-1]:
            continue
        pictures.append(make(frame.pixels))
        times.append(frame.position)
    if not pictures:
        raise InvalidInput(
            source.info.name, "no frame that can be read", "a recording of the camera"
        )
    return pictures, np.array(times, np.float64)


def _grey(pixels: Pixels) -> UInt8Array:
    if pixels.ndim == 2:
        return np.asarray(pixels, np.uint8)
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)
