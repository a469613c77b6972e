"""A window that shows the output, where there is a display and an OpenCV with windows."""

from __future__ import annotations

from collections.abc import Callable

import cv2

from crossfuse.errors import InvalidInput
from crossfuse.video.sink import UInt8Array

TITLE = "CrossFuse"
_QUIT_KEYS = (ord("q"), 27)


class PreviewSink:
    """Shows each frame; q or Esc ends the work."""

    description = "preview window"

    def __init__(self, quit_work: Callable[[], None]) -> None:
        self._quit_work = quit_work
        try:
            cv2.namedWindow(TITLE)
        except cv2.error as error:
            raise InvalidInput(
                "preview",
                "no display, or an OpenCV without windows (opencv-python-headless)",
                "a display, and opencv-python in place of opencv-python-headless",
            ) from error

    def write(self, picture: UInt8Array, position: int) -> None:
        """Show one frame."""
        code = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
        cv2.imshow(TITLE, cv2.cvtColor(picture, code))
        if cv2.waitKey(1) in _QUIT_KEYS:
            self._quit_work()

    def close(self) -> None:
        """Close the window."""
        cv2.destroyWindow(TITLE)
