"""The sound of the visible file, copied into the output as it is."""

from __future__ import annotations

import logging
from typing import Any

_log = logging.getLogger(__name__)


class Sound:
    """The first sound stream of a file, copied packet by packet as the picture goes on.

    `start` is where the output begins, in seconds from the file's first picture.
    """

    def __init__(self, path: str, container: Any, start: float) -> None:
        import av

        self._av = av
        self._container = container
        self._source = av.open(path)
        self._next: Any = None
        self.description = ""
        """For the summary; nothing where the file has no sound."""
        sound = next(iter(self._source.streams.audio), None)
        if sound is None:
            return
        try:
            self._stream = container.add_stream_from_template(sound)
        except (av.FFmpegError, ValueError):
            codec = sound.codec_context.name
            self.description = f", without the sound of the visible source ({codec} is not for MP4)"
            return
        self.description = ", sound of the visible source copied"
        pictures = next(iter(self._source.streams.video), None)
        if pictures is not None and pictures.start_time and pictures.time_base:
            start += float(pictures.start_time * pictures.time_base)
        self._start = start
        self._packets = self._source.demux(sound)
        self._read()
        # One that ends where the output begins is kept: decoders need it to begin well.
        while self._next is not None and self._at(self._next.dts + self._next.duration) < 0:
            self._read()

    def copy_until(self, seconds: float) -> None:
        """Copy what is to be heard up to this moment of the output."""
        while (packet := self._next) is not None and self._at(packet.dts) < seconds:
            late = round(self._start / packet.time_base)
            packet.dts -= late
            packet.pts -= late
            packet.stream = self._stream
            self._container.mux(packet)
            self._read()

    def close(self) -> None:
        """Let go of the file."""
        self._source.close()

    def _at(self, ticks: int) -> float:
        return float(ticks * self._next.time_base) - self._start

    def _read(self) -> None:
        """The next packet; a file that cannot be read any further has no more sound."""
        try:
            self._next = next((packet for packet in self._packets if packet.dts is not None), None)
        except (self._av.FFmpegError, OSError) as error:
            _log.warning("the sound of the visible source ends early: %s", error)
            self._next = None
