"""What a sink is, and the frames it takes."""

from __future__ import annotations

from typing import Protocol

from crossfuse.arrays import UInt8Array


class Sink(Protocol):
    """Takes the frames of the output in order; OutputError where it cannot."""

    description: str
    """What it makes, for the summary."""

    def write(self, picture: UInt8Array, position: int) -> None:
        """A frame, uint8 HxWx3 RGB or HxW, `position` microseconds from the first one."""

    def close(self) -> None:
        """Finish; what was written can be used afterwards."""
