"""A window that shows the output, where there is a display and an OpenCV with windows."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable

import cv2

from crossfuse.arrays import UInt8Array
from crossfuse.errors import InvalidInput, OutputError

TITLE = "CrossFuse"
VALID = "a display, and opencv-python in place of opencv-python-headless"
_QUIT_KEYS = (ord("q"), 27)


class PreviewSink:
    """Shows each frame; q or Esc ends the work."""

    description = "preview window"

    def __init__(self, quit_work: Callable[[], None]) -> None:
        self._quit_work = quit_work
        if not windows_work():
            raise InvalidInput(
                "preview",
                "no display, or an OpenCV without windows (opencv-python-headless)",
                VALID,
            )
        cv2.namedWindow(TITLE)

    def write(self, picture: UInt8Array, position: int) -> None:
        """Show one frame."""
        code = cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR
        try:
            cv2.imshow(TITLE, cv2.cvtColor(picture, code))
            key = cv2.waitKey(1)
        except cv2.error as error:
            raise OutputError(f"preview: got no window any more; valid: {VALID}") from error
        if key in _QUIT_KEYS:
            self._quit_work()

    def close(self) -> None:
        """Close the window."""
        with contextlib.suppress(cv2.error):  # it has gone before
            cv2.destroyWindow(TITLE)


def windows_work() -> bool:
    """Tried in a process of its own, which OpenCV's Qt ends where it cannot reach a display."""
    done = subprocess.run(
        [sys.executable, "-c", "import cv2; cv2.namedWindow('trial')"],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0
