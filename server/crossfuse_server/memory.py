"""The memory of the process: kept for the next picture while busy, given back when idle.

A call allocates and frees several buffers of a megabyte. Left to itself, glibc returns such blocks
to the system at every free and takes them again, page by page, at every call, and keeps a separate
heap for every few threads. Nothing happens here where the C library is another one.
"""

from __future__ import annotations

import ctypes
import sys
import threading
from collections.abc import Callable

# From malloc.h of glibc.
M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8

MIB = 2**20
SETTINGS = {
    M_ARENA_MAX: 1,
    M_MMAP_THRESHOLD: 32 * MIB,  # the most glibc takes; an RGB picture of 4K has 24 MiB
    M_TRIM_THRESHOLD: 64 * MIB,
}

IDLE_SECONDS = 5.0


def tune_allocator() -> None:
    """Keep freed blocks for the next call; best before the process has many threads."""
    libc = _libc()
    if libc is not None:
        for name, value in SETTINGS.items():
            libc.mallopt(name, value)


def give_back_when_idle(calls_so_far: Callable[[], int | None], ended: threading.Event) -> None:
    """Return free memory to the system when calls have been made and none is under way.

    `calls_so_far` is their number, or None while one is under way. Returns when `ended` is set.
    """
    libc = _libc()
    trimmed_at = 0
    while libc is not None and not ended.wait(IDLE_SECONDS):
        calls = calls_so_far()
        if calls is not None and calls != trimmed_at:
            libc.malloc_trim(0)
            trimmed_at = calls


def _libc() -> ctypes.CDLL | None:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
