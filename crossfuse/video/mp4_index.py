"""The index of an MP4 that grew by fragments, read back from them when the file is finished.

Nothing of it is held while the file grows: a stream may run for weeks.
"""

from __future__ import annotations

import os
import struct
from array import array
from collections.abc import Iterator
from io import FileIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossfuse.video.mp4_boxes import box, child, full_box, movie
from crossfuse.video.mp4_fragment import Fragment, read_fragment


def add_index(file: FileIO, size: tuple[int, int], timescale: int) -> None:
    """Make an ordinary MP4 of a file of fragments of one video track, open to read and write.

    Players then know length and rate at once. The last step is one short write; until then, and
    where the disk has no room for the index, the fragments play as they did.
    """
    end = file.seek(0, os.SEEK_END)
    frames, description, hidden_from = _Frames(), b"", 0
    for kind, at, content in _headers(file, end):
        if kind == b"moov":
            hidden_from = at
            media = child(content, b"trak", b"mdia", b"minf", b"stbl", b"stsd")
            description = box(b"stsd", media)
        else:
            frames.add(at, read_fragment(content))
    if not frames.sizes:
        return
    file.seek(end)
    try:
        tables = frames.tables()
        length = sum(map(len, tables))
        write_whole(file, movie(description, size, timescale, frames.ends, length))
        for part in tables:
            write_whole(file, part)
        os.fsync(file.fileno())  # the index must be there before the fragments are hidden
    except OSError:
        file.truncate(end)
        raise
    file.seek(hidden_from)
    write_whole(file, struct.pack(">I4sQ", 1, b"mdat", end - hidden_from))


def write_whole(file: FileIO, data: bytes) -> None:
    """Write all of it, in as many pieces as the system takes."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def whole_until(file: FileIO) -> int:
    """Where the last whole fragment of a file ends that was cut off somewhere."""
    end, until = file.seek(0, os.SEEK_END), 0
    for kind, at, length in _boxes(file, end):
        if kind in (b"moov", b"mdat") and at + length <= end:
            until = at + length
    return until


def _headers(file: FileIO, end: int) -> Iterator[tuple[bytes, int, bytes]]:
    """Kind, place and content of the boxes of a file that say something about frames."""
    for kind, at, length in _boxes(file, end):
        if kind in (b"moov", b"moof"):
            file.seek(at + 8)
            yield kind, at, file.read(length - 8)


def _boxes(file: FileIO, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Kind, place and length of the boxes that begin before the end."""
    at = 0
    while at + 16 <= end:
        file.seek(at)
        size, kind, large = struct.unpack(">I4sQ", file.read(16))
        length = large if size == 1 else size
        yield kind, at, length
        at += length


class _Frames:
    """Every frame of a file, in 9 bytes each."""

    def __init__(self) -> None:
        self.durations = array("I")
        self.sizes = array("I")
        self.keys = bytearray()
        self.ends = 0
        """When the last frame ends, in ticks."""
        self._offsets = array("Q")  # of each fragment
        self._counts = array("I")

    def add(self, at: int, fragment: Fragment) -> None:
        """The frames of the fragment whose header lies there."""
        if self.durations:
            # The muxer did not know yet when the next frame would come.
            self.durations[-1] += fragment.begins - self.ends
        self.durations.frombytes(fragment.durations.tobytes())
        self.sizes.frombytes(fragment.sizes.tobytes())
        self.keys += fragment.keys.tobytes()
        self.ends = fragment.begins + int(fragment.durations.sum())
        self._offsets.append(at + fragment.offset)
        self._counts.append(len(fragment.sizes))

    def tables(self) -> list[bytes]:
        """The boxes that say when each frame is shown, and where it lies, in pieces."""
        durations, counts = _runs(self.durations), _runs(self._counts)
        firsts = np.cumsum(counts[:, 0]) - counts[:, 0] + 1
        per_chunk = np.column_stack((firsts, counts[:, 1], np.ones_like(firsts)))
        keys = np.flatnonzero(np.frombuffer(self.keys, np.bool_)) + 1
        of_any_size = struct.pack(">I", 0)
        return [
            *_table(b"stts", durations),
            *_table(b"stss", keys),
            *_table(b"stsc", per_chunk),
            *_table(b"stsz", np.asarray(self.sizes), of_any_size),
            *_table(b"co64", np.asarray(self._offsets), form=">u8"),
        ]


def _runs(values: array[int]) -> NDArray[np.uint32]:
    """Rows of how often, and what: equal values in a row become one."""
    every = np.asarray(values)
    starts = np.flatnonzero(np.concatenate(([True], every[1:] != every[:-1])))
    rows = np.empty((len(starts), 2), np.uint32)
    rows[:, 0] = np.diff(starts, append=len(every))
    rows[:, 1] = every[starts]
    return rows


def _table(
    kind: bytes, rows: NDArray[Any], before: bytes = b"", *, form: str = ">u4"
) -> tuple[bytes, bytes]:
    """The two parts of a box of so many entries; put together they would be there twice."""
    entries = rows.astype(form).tobytes()
    count = struct.pack(">I", len(rows))
    return full_box(kind, 0, 0, before, count, following=len(entries)), entries
