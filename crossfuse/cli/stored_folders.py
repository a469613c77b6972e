"""Folders of object stores, in the form of paths: s3://bucket/ir, gs://bucket/ir, file:///mnt/ir.

pyarrow reads and writes them; it comes with the extra [ray], the only user.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, cast

from crossfuse.errors import ImageError, InvalidInput, MissingDependency, OutputError
from crossfuse.images import MAX_FILE_BYTES, read_bytes, write_file

# A path keeps one slash of the two.
URI = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)


class StoredPath(PurePosixPath):
    """A path in an object store; offers what folders are paired with."""

    __slots__ = ("_folder",)

    _folder: bool

    def __str__(self) -> str:
        scheme, rest = URI.fullmatch(super().__str__()).groups()  # type: ignore[union-attr]
        return f"{scheme}://{'/' if scheme == 'file' else ''}{rest}"

    def iterdir(self) -> Iterator[StoredPath]:
        """What is directly inside."""
        fs = _fs()
        filesystem, place = self._located()
        for found in filesystem.get_file_info(fs.FileSelector(place, allow_not_found=True)):
            child = self / found.base_name
            child._folder = found.type == fs.FileType.Directory
            yield child

    def is_dir(self) -> bool:
        """Whether it is a folder; known of what `iterdir` gave."""
        fs = _fs()
        if not hasattr(self, "_folder"):
            filesystem, place = self._located()
            self._folder = filesystem.get_file_info(place).type == fs.FileType.Directory
        return self._folder

    def make(self) -> None:
        """Make the folder, where the store has folders."""
        filesystem, place = self._located()
        try:
            filesystem.create_dir(place, recursive=True)
        except OSError as error:
            raise InvalidInput(
                "--output", f"{self} ({error})", "a folder that can be made"
            ) from error

    def read(self) -> bytes:
        """The whole content, if it is not too large for a picture."""
        filesystem, place = self._located()
        try:
            with filesystem.open_input_stream(place) as file:
                data: bytes = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            raise ImageError(str(self), str(error), "an image file that can be read") from None
        if len(data) > MAX_FILE_BYTES:
            raise ImageError(
                str(self), f"more than {MAX_FILE_BYTES} bytes", f"at most {MAX_FILE_BYTES} bytes"
            )
        return data

    def write(self, data: bytes) -> None:
        """Write it in whole: an object store shows an object when it is complete."""
        filesystem, place = self._located()
        if filesystem.type_name == "local":
            write_file(place, data)
            return
        try:
            with filesystem.open_output_stream(place) as file:
                file.write(data)
        except OSError as error:
            raise OutputError(
                f"{self}: could not be written: got {error}; valid: a place in a store that can "
                "be written to"
            ) from error

    def _located(self) -> tuple[Any, str]:
        fs = _fs()
        filesystem, place = fs.FileSystem.from_uri(str(self))
        return filesystem, str(place)


def _fs() -> Any:
    # By name: it may be missing, and ships no types.
    try:
        return importlib.import_module("pyarrow.fs")
    except ImportError:
        raise MissingDependency("pyarrow", "a folder of an object store", "ray") from None


def as_folder(path: Path) -> Path:
    """The path, absolute since other machines are to find it, or the one in a store it means."""
    if URI.fullmatch(str(path)) is None:
        return path.absolute()
    return cast(Path, StoredPath(str(path)))


def read_any(path: Path) -> bytes:
    """The content of a file, wherever it is."""
    return path.read() if isinstance(path, StoredPath) else read_bytes(path)


def write_any(path: Path, data: bytes) -> None:
    """Write a file in whole or not at all, wherever it is."""
    if isinstance(path, StoredPath):
        path.write(data)
    else:
        write_file(path, data)
