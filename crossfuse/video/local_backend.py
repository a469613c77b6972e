"""Fusing with a model of this process."""

from __future__ import annotations

from crossfuse.errors import CrossFuseError
from crossfuse.fuser import Fuser
from crossfuse.streaming import Failed, Fused
from crossfuse.video.fusing import FusedPair, Window
from crossfuse.video.turns import turns_of

# One frame is fused while the next one waits.
IN_FLIGHT = 2


class LocalBackend:
    """Fuses with a model of this process, which other streams may share."""

    in_flight = IN_FLIGHT
    restarts = 0

    def __init__(self, fuser: Fuser) -> None:
        self._fuser = fuser
        self._turns = turns_of(fuser)

    def work(self, window: Window) -> None:
        """Settle frames until the window has no more."""
        while (frame := window.take()) is not None:
            pair = frame.payload
            try:
                with self._turns:
                    fused = self._fuser.fuse(pair.ir, pair.vis)
            except CrossFuseError as error:
                window.settle(frame, Failed(error))
            else:
                window.settle(frame, Fused(FusedPair(pair, fused)))
