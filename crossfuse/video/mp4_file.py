"""An MP4 that can be played at every moment while it is written, and is an ordinary one at the end.

It grows by fragments, each complete in itself: whatever ends the program, what was flushed plays.
When it is closed, an ordinary index is added and the fragments are hidden inside one data box, so
that players know length and rate at once.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from crossfuse.video import mp4_boxes


class Mp4File:
    """One video track; times are in units of 1/timescale seconds."""

    def __init__(self, path: Path, size: tuple[int, int], timescale: int) -> None:
        self._size = size
        self._timescale = timescale
        self._file = path.open("wb", buffering=0)
        self._description: bytes | None = None
        self._durations: list[int] = []
        self._sizes: list[int] = []
        self._keys: list[bool] = []
        self._chunks: list[tuple[int, int]] = []
        self._data_at = 0

    def add(self, track: mp4_boxes.Track, durations: list[int]) -> None:
        """Append one fragment and hand it to the system."""
        if self._description is None:
            self._description = track.description
            self._begin()
        sizes = [len(sample) for sample in track.samples]
        keys = [number in track.keyframes for number in range(len(sizes))]
        header = mp4_boxes.fragment_header(
            len(self._chunks) + 1, sum(self._durations), durations, sizes, keys
        )
        start = self._file.tell()
        at = start + len(header) + 8
        try:
            self._write(header + mp4_boxes.box(b"mdat", *track.samples))
        except OSError:
            # On a full disk this makes the room that the index needs.
            self._file.truncate(start)
            self._file.seek(start)
            raise
        self._chunks.append((at, len(sizes)))
        self._durations += durations
        self._sizes += sizes
        self._keys += keys

    def close(self) -> None:
        """Add the index, so that the file is an ordinary one."""
        try:
            if self._description is not None:
                self._finish(self._description)
        finally:
            self._file.close()

    def _begin(self) -> None:
        self._write(mp4_boxes.file_type())
        self._data_at = self._file.tell()
        # Room for the header that will hide the fragments.
        self._write(mp4_boxes.box(b"free", bytes(8)))
        self._write(mp4_boxes.movie(self._description or b"", self._size, self._timescale, 0))

    def _finish(self, description: bytes) -> None:
        end = self._file.tell()
        tables = mp4_boxes.sample_tables(self._durations, self._sizes, self._keys, self._chunks)
        self._write(
            mp4_boxes.movie(description, self._size, self._timescale, sum(self._durations), *tables)
        )
        os.fsync(self._file.fileno())  # the index must be there before the fragments are hidden
        self._file.seek(self._data_at)
        self._write(struct.pack(">I4sQ", 1, b"mdat", end - self._data_at))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]
