"""The synthetic street as a pair of test sources: `synthetic` or `synthetic:SEED`."""

from __future__ import annotations

from crossfuse.errors import InvalidInput
from crossfuse.synthetic import Scene
from crossfuse.video.frames import SourceInfo, VideoFrame

NAME = "synthetic"
RATE = 25.0
SECONDS = 10


class SyntheticSource:
    """One of the two cameras of a synthetic street: ten seconds, 480x640, 25 frames a second."""

    decoder = "made here"

    def __init__(self, name: str, *, infrared: bool) -> None:
        _, _, seed = name.partition(":")
        if seed and not seed.isdecimal():
            raise InvalidInput("source", repr(name), "synthetic, or synthetic:SEED with a number")
        self._scene = Scene(int(seed or 0))
        self._infrared = infrared
        self._next = 0
        self.info = SourceInfo(
            name=name, width=640, height=480, fps=RATE, frames=round(SECONDS * RATE), live=False
        )

    def read(self) -> VideoFrame | None:
        """The next frame."""
        if self._next == self.info.frames:
            return None
        seconds = self._next / RATE
        self._next += 1
        infrared, visible = self._scene.frame(seconds)
        return VideoFrame(infrared if self._infrared else visible, round(seconds * 1e6))

    def close(self) -> None:
        """Nothing is held."""
