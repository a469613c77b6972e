"""MP4 with the MPEG-4 encoder that comes with OpenCV: needs no further package.

OpenCV writes whole files only, so half a second at a time is encoded into a file of its own and
its frames are moved into the output as one fragment.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import cv2
import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.errors import OutputError
from crossfuse.video.mp4_boxes import read_track
from crossfuse.video.mp4_file import Mp4File
from crossfuse.video.sink import even, even_size
from crossfuse.video.timing import Ticks

SECONDS_PER_FRAGMENT = 0.5
# Of the frames that a fragment has at the nominal rate: more are not held, whatever their times.
MOST_FRAMES = 4


class OpenCvSink:
    """Writes `path`; after a crash it plays up to the last half second."""

    description = "mpeg4 (OpenCV)"

    def __init__(self, path: Path, size: tuple[int, int], fps: float) -> None:
        self._path = path
        self._size = size = even_size(size)
        self._fps = fps
        self._ticks = Ticks(fps)
        self._per_fragment = max(1, round(fps * SECONDS_PER_FRAGMENT))
        self._pictures: list[UInt8Array] = []
        self._times: list[int] = []
        self._folder = Path(tempfile.mkdtemp(prefix="crossfuse-"))
        try:
            self._file = Mp4File(path, size, self._ticks.timescale)
        except OSError as error:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise self._failure(error) from error

    def write(self, picture: UInt8Array, position: int) -> None:
        """Add a frame of the size of the first one."""
        ticks = self._ticks.at(position)
        # By time as well: a live source may give far fewer frames than its nominal rate.
        late = self._times and ticks - self._times[0] >= self._per_fragment * self._ticks.interval
        if late or len(self._times) == MOST_FRAMES * self._per_fragment:
            self._flush(ticks)
        self._pictures.append(even(picture))
        self._times.append(ticks)

    def close(self) -> None:
        """Write what is left, and the index."""
        try:
            if self._pictures:
                self._flush(self._times[-1] + self._ticks.interval)
            self._file.close()
        except OSError as error:
            raise self._failure(error) from error
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _flush(self, end: int) -> None:
        pictures, times = self._pictures, [*self._times, end]
        self._pictures, self._times = [], []
        durations = [int(step) for step in np.diff(times)]
        try:
            track = read_track(self._encode(pictures))
        except (ValueError, OSError) as error:
            # OpenCV says nothing of what it cannot write.
            raise OutputError(
                f"{self._path}: could not be written: got half a second that OpenCV did not "
                f"write whole to {self._folder} ({error}); valid: space to write there too"
            ) from error
        try:
            self._file.add(track, durations)
        except OSError as error:
            raise self._failure(error) from error

    def _encode(self, pictures: list[UInt8Array]) -> bytes:
        part = self._folder / "part.mp4"
        code = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(part), cv2.CAP_FFMPEG, code, self._fps, self._size)
        if not writer.isOpened():
            raise OutputError(
                f"{self._path}: got an OpenCV without MPEG-4; valid: one with FFmpeg, "
                "PyAV (pip install 'crossfuse[video]'), or a folder as output"
            )
        for picture in pictures:
            code = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
            writer.write(cv2.cvtColor(picture, code))
        writer.release()
        return part.read_bytes()

    def _failure(self, error: OSError) -> OutputError:
        return OutputError(
            f"{self._path}: could not be written: got {error.strerror or error}; "
            "valid: a path in an existing folder, with permission and space to write"
        )
