"""Reads the first directory of a TIFF structure, which EXIF uses too."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

ORIENTATION: Final = 274

_BYTES_OF_TYPE: Final = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4,
}  # fmt: skip
_UNSIGNED: Final = {1: "u1", 3: "u2", 4: "u4"}


class BadDirectory(Exception):
    """The directory breaks the rules of TIFF; the text says how."""


@dataclass(frozen=True, slots=True)
class Directory:
    """Tags of one directory: (type, count, where the values lie) by number."""

    data: bytes
    byte_order: str
    entries: dict[int, tuple[int, int, int]]
    next_offset: int
    fault: str | None
    """The first tag that was left out of `entries`, and why."""

    def integers(self, tag: int) -> NDArray[np.int64]:
        """All values of an unsigned integer tag; empty where the tag is absent."""
        kind, count, offset = self.entries.get(tag, (1, 0, 0))
        if kind not in _UNSIGNED:
            raise BadDirectory(f"tag {tag} of type {kind}")
        stored = self.byte_order + _UNSIGNED[kind]
        return np.frombuffer(self.data, stored, count, offset).astype(np.int64)

    def integer(self, tag: int, default: int | None = None) -> int:
        """The single value of a tag; without a default the tag must be there."""
        values = self.integers(tag)
        if not len(values) and default is not None:
            return default
        if len(values) != 1:
            raise BadDirectory(f"{len(values)} values of tag {tag}")
        return int(values[0])


def read_directory(data: bytes) -> Directory:
    """The first directory of `data`; struct.error or BadDirectory where there is none.

    Work and memory are bounded by the length of `data`, whatever the counts in it claim.
    """
    byte_order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if byte_order is None:
        raise BadDirectory("no byte order")
    magic, start = struct.unpack_from(byte_order + "HI", data, 2)
    if magic != 42:
        raise BadDirectory(f"version {magic}")
    (count,) = struct.unpack_from(byte_order + "H", data, start)
    entries: dict[int, tuple[int, int, int]] = {}
    fault: str | None = None
    for at in range(start + 2, start + 2 + 12 * count, 12):
        tag, kind, values, offset = struct.unpack_from(byte_order + "HHII", data, at)
        size = _BYTES_OF_TYPE.get(kind, 0) * values
        if size <= 4:
            offset = at + 8
        if tag in entries:
            fault = fault or f"tag {tag} twice"
        elif offset + size > len(data):
            fault = fault or f"tag {tag} reaching beyond the end of the file (truncated?)"
        else:
            entries[tag] = (kind, values, offset)
    (next_offset,) = struct.unpack_from(byte_order + "I", data, start + 2 + 12 * count)
    return Directory(data, byte_order, entries, next_offset, fault)
