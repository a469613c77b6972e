"""A folder of pictures, in natural order, as a video."""

from __future__ import annotations

import re
from pathlib import Path

from crossfuse.errors import InvalidInput
from crossfuse.images import PICTURE_SUFFIXES, Pixels, read_infrared, read_visible
from crossfuse.video.frames import CorruptFrame, SourceInfo, VideoFrame

DEFAULT_RATE = 25.0


class FolderSource:
    """Frames are the pictures of a folder; 9.png comes before 10.png."""

    decoder = "pictures"

    def __init__(
        self, folder: Path, *, infrared: bool, palette: str | None, fps: float | None
    ) -> None:
        self._paths = sorted(
            (
                path
                for path in folder.iterdir()
                if path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
            ),
            key=lambda path: natural_key(path.name),
        )
        if not self._paths:
            raise InvalidInput(
                str(folder), "a folder without pictures", "PNG, JPEG, WebP or TIFF files in it"
            )
        self._infrared = infrared
        self._palette = palette
        self._rate = fps or DEFAULT_RATE
        self._next = 0
        first = self._decode(self._paths[0])
        self.info = SourceInfo(
            name=str(folder),
            width=first.shape[1],
            height=first.shape[0],
            fps=self._rate,
            frames=len(self._paths),
            live=False,
        )

    def read(self) -> VideoFrame | None:
        """The next picture."""
        if self._next == len(self._paths):
            return None
        number = self._next
        self._next += 1
        try:
            pixels = self._decode(self._paths[number])
        except InvalidInput as error:
            raise CorruptFrame(str(error)) from error
        return VideoFrame(pixels, round(number * 1e6 / self._rate))

    def close(self) -> None:
        """Nothing is held."""

    def _decode(self, path: Path) -> Pixels:
        if self._infrared:
            return read_infrared(path, palette=self._palette)
        return read_visible(path)


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """A key under which numbers inside names sort by their value."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part)) if part.isdecimal() else (1, part.lower()) for part in parts if part]
