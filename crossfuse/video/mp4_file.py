"""An MP4 that can be played at every moment while it is written, and is an ordinary one at the end.

It grows by fragments, each complete in itself: whatever ends the program, what was flushed plays.
When it is closed, an ordinary index is added and the fragments are hidden inside one data box, so
that players know length and rate at once.
"""

from __future__ import annotations

from io import FileIO
from pathlib import Path

from crossfuse.video.mp4_boxes import Track, box, file_type, movie
from crossfuse.video.mp4_fragment import fragment_header
from crossfuse.video.mp4_index import add_index, write_whole


class Mp4File:
    """One video track; times are in units of 1/timescale seconds."""

    def __init__(self, path: Path, size: tuple[int, int], timescale: int) -> None:
        self._size = size
        self._timescale = timescale
        self._file = FileIO(path, "w+")
        self._fragments = 0
        self._ends = 0

    def add(self, track: Track, durations: list[int]) -> None:
        """Append one fragment and hand it to the system."""
        start = self._file.tell()
        begin = b""
        if start == 0:
            begin = file_type() + movie(track.description, self._size, self._timescale, 0)
        sizes = [len(sample) for sample in track.samples]
        keys = [number in track.keyframes for number in range(len(sizes))]
        header = fragment_header(self._fragments + 1, self._ends, durations, sizes, keys)
        try:
            write_whole(self._file, begin + header + box(b"mdat", *track.samples))
        except OSError:
            # On a full disk this makes the room that the index needs.
            self._file.truncate(start)
            self._file.seek(start)
            raise
        self._fragments += 1
        self._ends += sum(durations)

    def close(self) -> None:
        """Add the index, so that the file is an ordinary one."""
        with self._file:
            add_index(self._file, self._size, self._timescale)
