"""Video files and network streams through PyAV: timestamps of the container, 16-bit video."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from crossfuse.errors import InvalidInput
from crossfuse.video.address import shown
from crossfuse.video.colours import InfraredChannel
from crossfuse.video.frames import CorruptFrame, Progress, SourceInfo, SourceLost, VideoFrame
from crossfuse.video.hardware import decoder_name, first_device

_LIVE_OPTIONS = {
    "rtsp_transport": "tcp",
    "fflags": "nobuffer",
    "flags": "low_delay",
    "analyzeduration": "500000",
    "max_delay": "0",
}
_WIDE_GREY = ("gray10", "gray12", "gray14", "gray16")


class AvSource:
    """Frames of the first video stream of whatever FFmpeg opens."""

    def __init__(
        self,
        address: str,
        *,
        live: bool,
        infrared: bool,
        palette: str | None,
        timeout: float,
        hardware: bool,
    ) -> None:
        import av
        from av.codec.hwaccel import HWAccel

        self._av = av
        self._name = shown(address)
        self._timeout = timeout
        self._hardware = hardware
        self._device = first_device() if hardware else None
        try:
            self._container = av.open(
                address,
                options=_LIVE_OPTIONS if live else {},
                timeout=(timeout, timeout),
                hwaccel=None if self._device is None else HWAccel(device_type=self._device),
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            raise InvalidInput(
                "source",
                f"{self._name}, which cannot be opened ({self._reason(error)})",
                "a video FFmpeg can open",
            ) from error
        if not self._container.streams.video:
            self._container.close()
            raise InvalidInput("source", f"{self._name} without a video stream", "a video")
        stream = self._container.streams.video[0]
        stream.thread_type = "SLICE" if live else "AUTO"
        self._stream = stream
        self._infrared = infrared
        self._channel = InfraredChannel(self._name, palette) if infrared else None
        self._packets: Iterator[Any] = iter(self._container.demux(stream))
        self._decoded: list[Any] = []
        self._begins = None
        if stream.start_time is not None and stream.time_base is not None:
            self._begins = stream.start_time * stream.time_base
        self.decoder = "PyAV"
        rate = stream.average_rate or stream.guessed_rate
        size = stream.codec_context.width, stream.codec_context.height
        self._quarters = 0 if live else self._turned(address)
        width, height = size[::-1] if self._quarters % 2 else size
        self.info = SourceInfo(
            name=self._name,
            width=width,
            height=height,
            fps=float(rate) if rate else None,
            frames=None if live else _shown_frames(stream, rate),
            live=live,
        )
        self._progress = Progress(self.info)

    def read(self) -> VideoFrame | None:
        """The next frame."""
        while not self._decoded:
            packet = self._next_packet()
            if packet is None:
                if self.info.live:
                    raise SourceLost(f"{self._name}: the stream ended")
                self._progress.check_end()
                return None
            try:
                self._decoded = list(packet.decode())
            except self._av.InvalidDataError as error:
                number = self._progress.count
                self._progress.count += 1
                raise CorruptFrame(f"{self._name}: frame {number} cannot be decoded") from error
            except self._av.EOFError:
                self._decoded = []
            except self._av.FFmpegError as error:
                raise SourceLost(f"{self._name}: {self._reason(error)}") from error
        frame = self._decoded.pop(0)
        if self._hardware:
            self._hardware = False  # now it is known
            self.decoder = decoder_name("PyAV", self._in_use(), asked=True, source=self._name)
        position = self._position(frame)
        self._progress.add(position)
        return VideoFrame(self._pixels(frame), position)

    def close(self) -> None:
        """Let go of the file or the connection."""
        self._container.close()

    def _in_use(self) -> str | None:
        """The device, where it really decodes: FFmpeg falls back without a word."""
        context = self._stream.codec_context
        # What a device holds has no components that a program could read.
        used = context.is_hwaccel and context.format and not context.format.components
        return self._device if used else None

    def _next_packet(self) -> Any:
        try:
            return next(self._packets, None)
        except (self._av.FFmpegError, OSError) as error:
            raise SourceLost(f"{self._name}: {self._reason(error)}") from error

    def _reason(self, error: Exception) -> str:
        """Why FFmpeg gave up; its own text repeats the address, with the password in it."""
        if isinstance(error, self._av.ExitError):
            return f"nothing came for {self._timeout:g} s"
        return getattr(error, "strerror", None) or str(error)

    def _turned(self, address: str) -> int:
        """Quarter turns to the left in which players show the file, as its first frame says."""
        with contextlib.suppress(self._av.FFmpegError, OSError), self._av.open(address) as file:
            first = next(file.decode(video=0), None)
            return 0 if first is None else round(first.rotation / 90) % 4
        return 0

    def _pixels(self, frame: Any) -> Any:
        if self._infrared and frame.format.name.startswith(_WIDE_GREY):
            wide = frame.to_ndarray(format="gray16le").astype(np.uint16, copy=False)
            return self._upright(wide)
        rgb = self._upright(frame.to_ndarray(format="rgb24"))
        return rgb if self._channel is None else self._channel(rgb)

    def _upright(self, pixels: Any) -> Any:
        return np.ascontiguousarray(np.rot90(pixels, self._quarters))

    def _position(self, frame: Any) -> int:
        if self.info.live:
            return time.monotonic_ns() // 1000
        if frame.time is None:
            return round(self._progress.count * 1e6 / (self.info.fps or 25.0))
        if self._begins is None or frame.time < self._begins:
            self._begins = frame.time
        return round(1e6 * float(frame.time - self._begins))


def _shown_frames(stream: Any, rate: Any) -> int | None:
    """Frames that will come; a file that was trimmed without encoding anew holds more."""
    if not stream.frames:
        return None
    if stream.duration and stream.time_base and rate:
        shown = round(stream.duration * stream.time_base * rate)
        if shown < stream.frames - 1:
            return int(shown)
    return int(stream.frames)
