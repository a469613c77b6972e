"""What may be watched of a stream: its newest fused frame, kept only while somebody looks."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from crossfuse.images import decode_raw, encode
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.convert import MEDIA_TYPES

# Of frames that travel RAW and are made smaller for a viewer.
VIEW_QUALITY = 85

_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class LiveFrame:
    """A fused frame as it was answered."""

    frame_id: int
    image: pb.Image


class LiveView:
    """One stream as its viewers see it; `model` as its caller named it."""

    def __init__(self, model: str) -> None:
        self.number = next(_numbers)
        self.model = model
        self.began = time.monotonic()
        self.viewers = 0
        self.latest: LiveFrame | None = None
        self.ended = False
        self._lock = threading.Lock()

    def show(self, answer: pb.FuseStreamResponse) -> None:
        """An answer leaves; costs nothing while nobody looks."""
        if self.viewers and answer.HasField("fused"):
            frame = LiveFrame(answer.frame_id, answer.fused.image)
            with self._lock:
                self.latest = frame if self.viewers else None

    def end(self) -> None:
        """The stream has ended."""
        self.ended = True
        self.latest = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Frames are kept inside."""
        with self._lock:
            self.viewers += 1
        try:
            yield
        finally:
            with self._lock:
                self.viewers -= 1
                if not self.viewers:
                    self.latest = None


def picture_file(image: pb.Image) -> tuple[str, bytes]:
    """A fused frame as a file that browsers show: its type and its bytes."""
    if image.encoding in MEDIA_TYPES:
        return MEDIA_TYPES[image.encoding], image.data
    pixels = decode_raw(
        image.data,
        width=image.width,
        height=image.height,
        channels=image.channels,
        dtype="uint8",
        max_pixels=image.width * image.height,
    )
    return "image/jpeg", encode(pixels.astype("uint8", copy=False), "jpeg", quality=VIEW_QUALITY)
