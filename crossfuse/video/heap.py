"""One heap for all threads of the process, for programs that fuse streams for days.

Each stream has a dozen threads: readers, decoders, the encoder. glibc gives every few of them a
heap of its own, what one frees the others do not take, and the process grows for many minutes.
Nothing happens here where the C library is another one.
"""

from __future__ import annotations

import ctypes
import sys

# From malloc.h of glibc.
M_ARENA_MAX = -8


def share_one_heap() -> None:
    """Call it before the first stream; it holds for the whole process."""
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if libc is not None and hasattr(libc, "mallopt"):
        libc.mallopt(M_ARENA_MAX, 1)
