"""What the process does when it is told to end, or to read everything anew."""

from __future__ import annotations

import os
import signal
import threading
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
            server.was_cut_off = True
            _exit_after(HARD_EXIT_SECONDS)
        end = server.stop if again else server.drain
        threading.Thread(target=end, name="shutdown", daemon=True).start()

    def on_reload(_: int, __: FrameType | None) -> None:
        threading.Thread(target=server.reread, name="reload", daemon=True).start()

    signal.signal(signal.SIGTERM, on_end)
    signal.signal(signal.SIGINT, on_end)
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, on_reload)


def _exit_after(seconds: float) -> None:
    """End the process even if something in it hangs where nothing can reach it."""
    timer = threading.Timer(seconds, os._exit, (1,))
    timer.daemon = True
    timer.start()
