"""A folder of pictures as output: lossless, one PNG per frame."""

from __future__ import annotations

from pathlib import Path

from crossfuse.arrays import UInt8Array
from crossfuse.errors import InvalidInput
from crossfuse.images import encode, write_file


class FolderSink:
    """Writes 000000.png, 000001.png and so on."""

    description = "PNG files"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(
                "output", f"{folder} ({error.strerror})", "a folder that can be made"
            ) from error

    def write(self, picture: UInt8Array, position: int) -> None:
        """Write one picture."""
        write_file(self._folder / f"{self._count:06d}.png", encode(picture))
        self._count += 1

    def close(self) -> None:
        """Every picture is already there."""
