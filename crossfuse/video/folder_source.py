"""A folder of pictures, in natural order, as a video; where a number is missing there is a gap."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from crossfuse.errors import InvalidInput
from crossfuse.images import PICTURE_SUFFIXES, Pixels, read_infrared, read_visible
from crossfuse.video.frames import CorruptFrame, SourceInfo, VideoFrame

DEFAULT_RATE = 25.0
# At the beginning of a folder.
MOST_BROKEN = 10
_LAST_NUMBER = re.compile(r"(.*?)(\d+)(\D*)", re.DOTALL)


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
        self._numbers = frame_numbers([path.stem for path in self._paths])
        self._next = 0
        height, width = self._first().shape[:2]
        self.info = SourceInfo(
            name=str(folder),
            width=width,
            height=height,
            fps=self._rate,
            frames=len(self._paths),
            live=False,
        )

    def read(self) -> VideoFrame | None:
        """The next picture."""
        if self._next == len(self._paths):
            return None
        place = self._next
        self._next += 1
        try:
            pixels = self._decode(self._paths[place])
        except InvalidInput as error:
            raise CorruptFrame(str(error)) from error
        return VideoFrame(pixels, round(self._numbers[place] * 1e6 / self._rate))

    def close(self) -> None:
        """Nothing is held."""

    def _first(self) -> Pixels:
        """The first picture that can be read; refuses folders that do not begin with any."""
        errors = []
        for path in self._paths[:MOST_BROKEN]:
            try:
                return self._decode(path)
            except InvalidInput as error:
                errors.append(error)
        raise errors[0]

    def _decode(self, path: Path) -> Pixels:
        if self._infrared:
            return read_infrared(path, palette=self._palette)
        return read_visible(path)


def natural_key(name: str) -> list[tuple[int, int | str]]:
    """A key under which numbers inside names sort by their value."""
    parts = re.split(r"(\d+)", name)
    return [(0, int(part)) if part.isdecimal() else (1, part.lower()) for part in parts if part]


def frame_numbers(names: Sequence[str]) -> list[int]:
    """The number of each frame, from 0; names in natural order.

    Names that differ in their last number alone, and mostly by the same step, count their frames:
    one that is missing leaves its number out. Others are numbered as they come.
    """
    as_they_come = list(range(len(names)))
    found = [_LAST_NUMBER.fullmatch(name) for name in names]
    whole = [match for match in found if match is not None]
    if len(whole) < max(3, len(names)) or len({match.group(1, 3) for match in whole}) > 1:
        return as_they_come
    counts = [int(match[2]) for match in whole]
    steps = [after - before for before, after in pairwise(counts)]
    step, often = Counter(steps).most_common(1)[0]
    if step < 1 or 2 * often < len(steps) or any(one < step or one % step for one in steps):
        return as_they_come
    return [(count - counts[0]) // step for count in counts]
