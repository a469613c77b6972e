"""What the process does when it is told to end, or to read everything anew."""

from __future__ import annotations

import os
import signal
import threading
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crossfuse_server.app import FusionServer

# What a second signal leaves to the threads that shut down before the process ends without them.
HARD_EXIT_SECONDS = 3.0


def handle_signals(server: FusionServer) -> None:
    """SIGTERM and SIGINT drain, a second one stops at once; SIGHUP reads everything anew."""

    # None of it may run in the signal handler itself: all wait for other threads.
    def on_end(_: int, __: FrameType | None) -> None:
        again = server.is_draining
        if again:
            _exit_after(HARD_EXIT_SECONDS)
        end = server.stop if again else server.drain
        threading.Thread(target=end, name="shutdown", daemon=True).start()

    asked: SimpleQueue[int] = SimpleQueue()  # a lock could be held by what a signal interrupts

    def on_reload(number: int, _: FrameType | None) -> None:
        asked.put(number)

    signal.signal(signal.SIGTERM, on_end)
    signal.signal(signal.SIGINT, on_end)
    if hasattr(signal, "SIGHUP"):
        threading.Thread(
            target=_reread_when_asked, args=(server, asked), name="reload", daemon=True
        ).start()
        signal.signal(signal.SIGHUP, on_reload)


def _reread_when_asked(server: FusionServer, asked: SimpleQueue[int]) -> None:
    """Once for all signals that came since the last time began: each finds what it came for."""
    while True:
        asked.get()
        while not asked.empty():
            asked.get()
        server.reread()


def _exit_after(seconds: float) -> None:
    """End the process even if something in it hangs where nothing can reach it."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
