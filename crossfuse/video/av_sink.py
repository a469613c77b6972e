"""MP4 with H.264 through PyAV, with the visible source's sound; and streams to RTSP servers."""

from __future__ import annotations

import contextlib
from fractions import Fraction
from io import FileIO
from pathlib import Path
from typing import Any

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.errors import InvalidInput, MissingDependency, OutputError
from crossfuse.video.address import shown
from crossfuse.video.mp4_index import add_index, whole_until
from crossfuse.video.sink import even, even_size
from crossfuse.video.sound import Sound
from crossfuse.video.timing import Ticks

# The first that this FFmpeg has is taken.
ENCODERS = ("libx264", "libopenh264", "mpeg4")
# Of x264: 17 to 28 is the usable range, lower is larger and finer.
QUALITY = "20"
# Whatever ends the program, at most this many seconds are not in the file.
SECONDS_PER_FRAGMENT = 0.5
# FFmpeg remembers 72 bytes of every frame until it writes the index. A recording has an end; a live
# stream, which is without sound, gets its index from crossfuse/video/mp4_index.py.
INDEX_IN_MEMORY = "hybrid_fragmented+delay_moov"
FRAGMENTS = "frag_keyframe+empty_moov+default_base_moof+skip_trailer"
# Of a server, to each thing it is asked.
CONNECT_TIMEOUT = 5


def best_encoder() -> str:
    """The first of ENCODERS that PyAV has."""
    import av

    for name in ENCODERS:
        with contextlib.suppress(ValueError):
            av.codec.Codec(name, "w")
            return name
    raise InvalidInput("output", "a PyAV without video encoders", "PyAV as published, or a folder")


class AvSink:
    """Writes an .mp4 that plays at every moment, or sends to an rtsp:// address as it is told."""

    def __init__(
        self,
        target: Path | str,
        size: tuple[int, int],
        fps: float,
        *,
        sound_of: str | None = None,
        sound_from: float = 0.0,
    ) -> None:
        try:
            import av
        except ImportError as error:
            raise MissingDependency("av", f"writing {target}", "video") from error
        self._av = av
        self._target = target
        self._size = size = even_size(size)
        self._ticks = Ticks(fps)
        encoder = best_encoder()
        self.description = f"{'H.264' if '264' in encoder else encoder} ({encoder})"
        self._sound: Sound | None = None
        self._ends = 0.0
        self._next_key = 0
        self._failed = False
        self._own_index = isinstance(target, Path) and sound_of is None
        try:
            if isinstance(target, Path):
                flags = FRAGMENTS if self._own_index else INDEX_IN_MEMORY
                self._container: Any = av.open(
                    str(target),
                    "w",
                    format="mp4",
                    options={"movflags": flags, "flush_packets": "1"},
                )
            else:
                self._container = av.open(
                    target,
                    "w",
                    format="rtsp",
                    options={"rtsp_transport": "tcp", "timeout": str(CONNECT_TIMEOUT * 1_000_000)},
                )
            self._stream = self._container.add_stream(encoder, rate=self._ticks.rate)
            self._stream.width, self._stream.height = size
            self._stream.pix_fmt = "yuv420p"
            self._stream.codec_context.time_base = Fraction(1, self._ticks.timescale)
            # A fragment begins at a key frame; B-frames would hold frames back.
            self._stream.codec_context.gop_size = max(1, round(fps * SECONDS_PER_FRAGMENT))
            self._stream.codec_context.max_b_frames = 0
            if encoder == "libx264":
                self._stream.options = {"preset": "veryfast", "crf": QUALITY, "tune": "zerolatency"}
            else:
                self._stream.bit_rate = round(0.2 * fps * size[0] * size[1])
            if sound_of is not None:
                self._sound = Sound(sound_of, self._container, sound_from)
                self.description += self._sound.description
        except (self._av.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def write(self, picture: UInt8Array, position: int) -> None:
        """Add a frame of the size of the first one."""
        picture = even(picture)
        colour = picture if picture.ndim == 3 else np.repeat(picture[..., None], 3, axis=2)
        frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(colour), format="rgb24")
        frame.pts = self._ticks.at(position)
        # By time: a live source may give far fewer frames than its nominal rate.
        if frame.pts >= self._next_key:
            frame.pict_type = self._av.video.frame.PictureType.I
            self._next_key = frame.pts + round(SECONDS_PER_FRAGMENT * self._ticks.timescale)
        frame.time_base = Fraction(1, self._ticks.timescale)
        self._encode(frame)
        self._copy_sound(position / 1e6)
        self._ends = (frame.pts + self._ticks.interval) / self._ticks.timescale

    def close(self) -> None:
        """Write what the encoder still holds, and the index."""
        try:
            # After a failed write the index would hide the fragments that are whole.
            if self._failed:
                self._drop_torn_fragment()
            else:
                self._copy_sound(self._ends)
                self._encode(None)
                self._container.close()
                if self._own_index:
                    with FileIO(self._target, "r+") as file:
                        add_index(file, self._size, self._ticks.timescale)
        except (self._av.FFmpegError, OSError) as error:
            raise self._failure(error) from error
        finally:
            if self._sound is not None:
                self._sound.close()

    def _drop_torn_fragment(self) -> None:
        """What is not whole at the end would trouble players."""
        if isinstance(self._target, Path):
            with contextlib.suppress(OSError), FileIO(self._target, "r+") as file:
                file.truncate(whole_until(file))

    def _copy_sound(self, seconds: float) -> None:
        try:
            if self._sound is not None:
                self._sound.copy_until(seconds)
        except (self._av.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def _encode(self, frame: Any) -> None:
        try:
            for packet in self._stream.encode(frame):
                self._container.mux(packet)
        except (self._av.FFmpegError, OSError) as error:
            raise self._failure(error) from error

    def _failure(self, error: Exception) -> OutputError:
        self._failed = True
        return OutputError(
            f"{shown(str(self._target))}: could not be written: "
            f"got {getattr(error, 'strerror', None) or error}; "
            "valid: a path with permission and space to write, or a server that takes the stream"
        )
