"""The outputs of one run: opened at the first frame, written together, always closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from crossfuse.arrays import UInt8Array
from crossfuse.errors import OutputError
from crossfuse.video.address import shown
from crossfuse.video.preview_sink import PreviewSink
from crossfuse.video.sink import Sink
from crossfuse.video.sinks import SinkOptions, check_outputs, open_sink


class Outputs:
    """All sinks of a run; a picture goes to each."""

    def __init__(
        self,
        targets: Sequence[str],
        sources: Sequence[str],
        options: SinkOptions,
        *,
        fps: float,
        preview: Callable[[], None] | None,
    ) -> None:
        check_outputs(targets, sources, options)
        self._targets = targets
        self._options = options
        self._fps = fps
        self._sinks: list[Sink] | None = None
        self._first = 0
        self.size: tuple[int, int] | None = None
        self.written = 0
        self.last_position = 0
        self._preview = PreviewSink(preview) if preview is not None else None

    @property
    def descriptions(self) -> list[str]:
        """Target and kind of each."""
        if self._sinks is None:
            return []
        pairs = zip(self._targets, self._sinks, strict=False)
        return [f"{shown(target)}: {sink.description}" for target, sink in pairs]

    def write(self, picture: UInt8Array, position: int) -> None:
        """Write one frame, uint8 HxWx3 RGB or HxW; positions are in microseconds and increase."""
        if self._sinks is None:
            self._first = position
            self.size = (picture.shape[1], picture.shape[0])
            self._sinks = []
            options = replace(self._options, sound_from=position / 1e6)
            for target in self._targets:
                self._sinks.append(open_sink(target, self.size, self._fps, options))
            if self._preview is not None:
                self._sinks.append(self._preview)
        self.last_position = position - self._first
        for sink in self._sinks:
            sink.write(picture, self.last_position)
        self.written += 1

    @property
    def duration(self) -> float:
        """Seconds that were written, the last frame included."""
        return (self.last_position / 1e6 + 1 / self._fps) if self.written else 0.0

    def close(self) -> list[OutputError]:
        """Finish every sink; returns what could not be finished."""
        failures = []
        for sink in self._sinks or ():
            try:
                sink.close()
            except OutputError as error:
                failures.append(error)
        self._sinks = []
        return failures
