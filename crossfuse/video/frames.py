"""What a source gives: frames with positions, facts about itself, and its two kinds of failure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from crossfuse.errors import CrossFuseError
from crossfuse.images import Pixels


class SourceLost(CrossFuseError):
    """A source that could be opened gives no more frames, and not because it is at its end."""


class CorruptFrame(CrossFuseError):
    """One frame cannot be decoded; those after it may be good."""


@dataclass(frozen=True, slots=True, eq=False)
class VideoFrame:
    """One picture of a source: infrared uint8 or uint16 HxW, visible uint8 HxWx3 RGB or HxW."""

    pixels: Pixels
    position: int
    """Microseconds: from the beginning of a recording; of the monotonic clock for live sources."""


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What is known of a source when it has been opened."""

    name: str
    width: int
    height: int
    fps: float | None
    """None where the source does not say."""
    frames: int | None
    """None where the source does not say, or never ends."""
    live: bool
    """Whether frames come when they come, and must be taken or are lost."""


class Progress:
    """How far a recording was read, beside what its container promised."""

    def __init__(self, info: SourceInfo) -> None:
        self._info = info
        self._at = self._step = 0  # of the last frame, and from the one before, in microseconds
        self.count = 0

    def add(self, position: int) -> None:
        """One more frame was decoded."""
        self._step, self._at = position - self._at, position
        self.count += 1

    def check_end(self) -> None:
        """SourceLost where much is missing, by number and by time: containers count gaps too."""
        promised = self._info.frames
        if promised is None or self.count >= promised - 1:
            return
        if self._at + self._step < (promised - 2) * 1e6 / (self._info.fps or 25.0):
            raise SourceLost(f"{self._info.name}: ended after {self.count} of {promised} frames")


class Source(Protocol):
    """Frames in order; used by one thread."""

    @property
    def info(self) -> SourceInfo:
        """Facts about the source."""

    @property
    def decoder(self) -> str:
        """What decodes its frames, and on which device that is no processor."""

    def read(self) -> VideoFrame | None:
        """The next frame, None at the end; SourceLost, CorruptFrame where something is wrong."""

    def close(self) -> None:
        """Let go of the file, the camera or the connection."""
