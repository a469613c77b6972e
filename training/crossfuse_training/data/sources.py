"""Where the two pictures of a pair come from: two files, a frame of two videos, or a seed."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.images import (
    decode_infrared,
    decode_visible,
    map_infrared,
    parse_mapping,
    read_bytes,
)
from crossfuse.synthetic import Scene

Grey = NDArray[np.uint8]
"""A picture of uint8 HxW, 0..255."""

_OPEN_VIDEOS = 4
_videos_in_use = threading.Lock()


@dataclass(frozen=True)
class Pictures:
    """What a source gives: infrared uint8 HxW, visible uint8 HxWx3 RGB or HxW, and their hash."""

    ir: Grey
    vis: NDArray[np.uint8]
    sha256: str


class Source(Protocol):
    """Reads the two pictures of a pair, the same ones every time."""

    def read(self) -> Pictures:
        """The pictures; InvalidInput where they cannot be read."""
        ...


@dataclass(frozen=True)
class FileSource:
    """Two picture files."""

    ir: Path
    vis: Path
    mapping: str = "none"
    """How 16-bit infrared becomes 8-bit."""

    def read(self) -> Pictures:
        """The pictures, with the hash of both files."""
        if self.ir.samefile(self.vis):
            raise InvalidInput(str(self.ir), "the file of the visible picture", "a file of its own")
        ir_data, vis_data = read_bytes(self.ir), read_bytes(self.vis)
        ir = map_infrared(
            decode_infrared(ir_data, field=str(self.ir)),
            parse_mapping(self.mapping),
            field=str(self.ir),
        )
        vis = decode_visible(vis_data, field=str(self.vis))
        return Pictures(ir, vis, hashlib.sha256(ir_data + vis_data).hexdigest())


@dataclass(frozen=True)
class FrameSource:
    """A frame of two videos of one length."""

    ir: Path
    vis: Path
    frame: int

    def read(self) -> Pictures:
        """The frames, with the hash of their pixels."""
        with _videos_in_use:
            ir = cv2.cvtColor(open_video(self.ir).frame(self.frame), cv2.COLOR_BGR2GRAY)
            vis = cv2.cvtColor(open_video(self.vis).frame(self.frame), cv2.COLOR_BGR2RGB)
        return _of_pixels(np.asarray(ir, np.uint8), np.asarray(vis, np.uint8))


@dataclass(frozen=True)
class SceneSource:
    """A synthetic street; by night where the seed is even."""

    seed: int
    height: int
    width: int

    def read(self) -> Pictures:
        """The scene, with the hash of its pixels."""
        return _of_pixels(*Scene(self.seed, self.height, self.width, self.night).frame(0.0))

    @property
    def night(self) -> bool:
        return self.seed % 2 == 0


class Video:
    """An open video that is read in order, or at any frame."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened():
            raise InvalidInput(str(path), "no video that can be opened", "a video file")
        self.frames = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.rate = float(self._capture.get(cv2.CAP_PROP_FPS))
        self._next = 0

    def frame(self, index: int) -> NDArray[np.uint8]:
        """Frame `index`, counted from 0, as uint8 HxWx3 BGR."""
        if index != self._next:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, index)
        self._next = index + 1
        done, frame = self._capture.read()
        if not done:
            self._next = -1
            raise InvalidInput(str(self._path), f"no frame {index}", f"{self.frames} frames")
        return np.asarray(frame, np.uint8)


@lru_cache(maxsize=_OPEN_VIDEOS)
def open_video(path: Path) -> Video:
    """The video, left open for the next frame; a few at a time, the oldest is closed."""
    return Video(path)


def _of_pixels(ir: Grey, vis: NDArray[np.uint8]) -> Pictures:
    return Pictures(ir, vis, hashlib.sha256(ir.tobytes() + vis.tobytes()).hexdigest())
