"""One pair on its way through the queue of a model, and what comes out."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, field

from crossfuse.arrays import UInt8Array

NORMAL_PRIORITY = 1


@dataclass(frozen=True, slots=True)
class Inference:
    """What came out of the model, and when it ran, by the monotonic clock."""

    fused: UInt8Array
    started_at: float
    ended_at: float
    batch_size: int


@dataclass(slots=True, eq=False)
class Job:
    """One pair that waits: ir [H,W] and vis [H,W,3], uint8; times are of the monotonic clock."""

    ir: UInt8Array
    vis: UInt8Array
    client: str
    """Who shares the queue: jobs of one client keep their order, clients take turns."""
    expires_at: float
    priority: int = NORMAL_PRIORITY
    bounded: bool = True
    """Whether the limit of the queue is for it; frames of streams are held back elsewhere."""
    queued_at: float = field(default_factory=time.monotonic)
    future: Future[Inference] = field(default_factory=Future)

    @property
    def shape(self) -> tuple[int, ...]:
        """Only pairs of one shape run together."""
        return self.vis.shape

    @property
    def pixels(self) -> int:
        """Height times width."""
        return int(self.ir.size)
