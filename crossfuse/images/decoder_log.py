"""Keeps OpenCV's own log quiet while it decodes: a bad file is reported once, by our error."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import cast

import cv2

_SILENT = 0

# The level is one setting for the whole process: the first decoder in saves it, the last one out
# restores it.
_lock = threading.Lock()
_running = 0
_saved_level = 0


@contextmanager
def silent_decoder() -> Iterator[None]:
    """Silence OpenCV's log inside the block, in whatever number of threads at once."""
    global _running, _saved_level
    with _lock:
        _running += 1
        if _running == 1:
            _saved_level = _set_level(_SILENT)
    try:
        yield
    finally:
        with _lock:
            _running -= 1
            if _running == 0:
                _set_level(_saved_level)


def _set_level(level: int) -> int:
    """Set the level and return the one before; OpenCV 5 moved the function."""
    place = cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging
    return cast(Callable[[int], int], place.setLogLevel)(level)
