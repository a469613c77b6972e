"""A folder of pictures, found by stem."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

from crossfuse.errors import ImageError, InvalidInput

PICTURE_SUFFIXES: Final = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")


class PictureFolder:
    """The pictures directly in a folder; hidden files and subfolders are not looked at."""

    def __init__(self, field: str, path: Path) -> None:
        self.field = field
        self.path = path
        self._pictures: defaultdict[str, list[str]] = defaultdict(list)
        self._others: defaultdict[str, list[str]] = defaultdict(list)
        try:
            entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
        except OSError as error:
            raise InvalidInput(
                field, f"{path} ({error.strerror or error})", "a folder of pictures"
            ) from None
        for entry in entries:
            if not entry.is_dir():
                is_picture = entry.suffix.lower() in PICTURE_SUFFIXES
                group = self._pictures if is_picture else self._others
                group[entry.stem].append(entry.name)
        if not self._pictures:
            raise InvalidInput(
                field, f"no picture in {path}", "a folder of PNG, JPEG, WebP or TIFF files"
            )

    @property
    def stems(self) -> frozenset[str]:
        """Names of the pictures without their extensions."""
        return frozenset(self._pictures)

    @property
    def ignored(self) -> int:
        """How many files are no pictures."""
        return sum(map(len, self._others.values()))

    def find(self, stem: str) -> Path:
        """The one file of a stem; ImageError where there is none, or more than one."""
        names = self._pictures.get(stem, [])
        if len(names) == 1:
            return self.path / names[0]
        if names:
            received = f"{len(names)} files of one stem in {self.path}: {', '.join(names)}"
        elif stem in self._others:
            received = f"{self.path / self._others[stem][0]}, which is no picture"
        else:
            received = f"no picture {stem}.* in {self.path}"
        raise ImageError(self.field, received, "one PNG, JPEG, WebP or TIFF file per stem")
