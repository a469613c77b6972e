"""The memory of the process: how much it is, kept while busy, given back when idle.

A call allocates and frees several buffers of a megabyte. Left to itself, glibc returns such blocks
to the system at every free and takes them again, page by page, at every call, and keeps a separate
heap for every few threads. Nothing happens here where the C library is another one.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

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

# Of the memory of the machine, or of the container; above it the system begins to kill processes.
USABLE_SHARE = 0.9
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
PROCESS_PAGES = Path("/proc/self/statm")


def free_memory_share() -> int:
    """Bytes this process may hold before it takes no more work; without limit where unknown."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return sys.maxsize
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with suppress(OSError, ValueError):  # no container, or one without a limit: "max"
        whole = min(whole, int(CONTAINER_LIMIT.read_text(encoding="ascii")))
    return int(USABLE_SHARE * whole)


def resident_bytes() -> int:
    """What the process holds now; 0 where the system does not tell."""
    try:
        pages = int(PROCESS_PAGES.read_text(encoding="ascii").split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


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
