"""Video files, cameras and network streams through OpenCV, which every installation has."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
import numpy as np

from crossfuse.errors import InvalidInput
from crossfuse.video.address import shown
from crossfuse.video.colours import InfraredChannel
from crossfuse.video.frames import CorruptFrame, Progress, SourceInfo, SourceLost, VideoFrame
from crossfuse.video.hardware import OPENCV_KINDS, decoder_name

_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
# TCP, because a lost UDP packet smears the picture; no buffering, because it is delay.
_LIVE_OPTIONS = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay|analyzeduration;500000"
_environment = threading.Lock()
# OpenCV says the same of a frame it cannot decode and of the end: it is the end when so many in a
# row give nothing.
MOST_CORRUPT = 50


class OpenCvSource:
    """Frames of whatever cv2.VideoCapture opens."""

    def __init__(
        self,
        address: str | int,
        *,
        live: bool,
        infrared: bool,
        palette: str | None,
        timeout: float,
        hardware: bool,
    ) -> None:
        self._name = f"camera {address}" if isinstance(address, int) else shown(address)
        self._timeout = timeout
        with _capture_options(live):
            self._capture = _open(address, round(timeout * 1000), hardware)
        # Of a network stream that says what it is and then nothing, the size is not known.
        if not self._capture.isOpened() or not self._capture.get(cv2.CAP_PROP_FRAME_WIDTH):
            self._capture.release()
            valid = (
                "the index of a connected camera, such as 0"
                if isinstance(address, int)
                else "a video that FFmpeg can open"
            )
            raise InvalidInput("source", f"{self._name}, which cannot be opened", valid)
        self._channel = InfraredChannel(self._name, palette) if infrared else None
        used = OPENCV_KINDS.get(int(self._capture.get(cv2.CAP_PROP_HW_ACCELERATION)))
        self.decoder = decoder_name("OpenCV", used, asked=hardware, source=self._name)
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        count = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self._grabbed = False
        self._corrupt = 0  # frames before the grabbed one that could not be decoded
        self.info = SourceInfo(
            name=self._name,
            width=int(self._capture.get(cv2.CAP_PROP_FRAME_WIDTH)),
            height=int(self._capture.get(cv2.CAP_PROP_FRAME_HEIGHT)),
            fps=rate if 0 < rate < 1000 else None,
            frames=count if count > 0 and not live else None,
            live=live,
        )
        self._progress = Progress(self.info)

    def read(self) -> VideoFrame | None:
        """The next frame."""
        if not self._grabbed and not self._grab():
            return None
        if self._corrupt:
            self._corrupt -= 1
            number = self._progress.count
            self._progress.count += 1
            raise CorruptFrame(f"{self._name}: frame {number} cannot be decoded")
        self._grabbed = False
        _, bgr = self._capture.retrieve()
        if self.info.live:
            position = time.monotonic_ns() // 1000
        else:
            position = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1000)
        self._progress.add(position)
        rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), np.uint8)
        return VideoFrame(rgb if self._channel is None else self._channel(rgb), position)

    def _grab(self) -> bool:
        """Decode up to a frame that is whole; False at the end of a recording."""
        for corrupt in range(MOST_CORRUPT):
            asked = time.monotonic()
            if self._capture.grab():
                self._corrupt, self._grabbed = corrupt, True
                return True
            if time.monotonic() - asked >= self._timeout:
                break
        if self.info.live:
            raise SourceLost(f"{self._name}: no frame came")
        self._progress.check_end()
        return False

    def close(self) -> None:
        """Let go of the capture."""
        self._capture.release()


def _open(address: str | int, timeout_ms: int, hardware: bool) -> cv2.VideoCapture:
    parameters = [
        cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, timeout_ms, cv2.CAP_PROP_READ_TIMEOUT_MSEC, timeout_ms,
    ]  # fmt: skip
    if hardware:
        parameters += [cv2.CAP_PROP_HW_ACCELERATION, cv2.VIDEO_ACCELERATION_ANY]
    if isinstance(address, int):
        return cv2.VideoCapture(address)
    return cv2.VideoCapture(address, cv2.CAP_FFMPEG, parameters)


@contextmanager
def _capture_options(live: bool) -> Iterator[None]:
    """OpenCV takes FFmpeg's options from the environment only, when it opens a capture."""
    if not live or _OPTIONS in os.environ:
        yield
        return
    with _environment:
        os.environ[_OPTIONS] = _LIVE_OPTIONS
        try:
            yield
        finally:
            del os.environ[_OPTIONS]
