"""A model on a CPU: one pair alone gets every processor, several pairs get a share each.

Processors that work together on one pair wait for each other, and for the threads of gRPC beside
them. With as many pairs as processors each pair is better off with fewer threads and none to wait
for; a pair that is alone would take longer that way. So a model is opened twice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from crossfuse.arrays import UInt8Array
from crossfuse.engines import Engine, EngineDescription

# Pairs of one model that run at once, at most: each takes memory.
MOST_LANES = 4


class Crowd:
    """The pairs that run at this moment, of all models of a server."""

    def __init__(self, processors: int) -> None:
        self.lanes = min(processors, MOST_LANES)
        self._running = 0
        self._lock = threading.Lock()

    def share_of(self, threads: int) -> int:
        """The threads of a pair when every lane is in use."""
        return max(threads // self.lanes, 1)

    @contextmanager
    def join(self) -> Iterator[bool]:
        """While a pair runs; whether every lane is now in use."""
        with self._lock:
            self._running += 1
            crowded = self._running >= self.lanes
        try:
            yield crowded
        finally:
            with self._lock:
                self._running -= 1


class CpuEngines:
    """A model opened with all threads, and with the share of one lane."""

    def __init__(self, whole: Engine, share: Engine, crowd: Crowd) -> None:
        """`share` may be `whole`."""
        self._whole = whole
        self._share = share
        self._crowd = crowd
        self._lanes: set[Lane] = set()
        self._lock = threading.Lock()

    def lane(self) -> Lane:
        """One more handle; when the last one is closed, so are the engines."""
        lane = Lane(self)
        self._lanes.add(lane)
        return lane

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """On the engine that fits what else runs."""
        with self._crowd.join() as crowded:
            return (self._share if crowded else self._whole).fuse(ir, vis)

    def describe(self) -> EngineDescription:
        """Of the engine with all threads."""
        return self._whole.describe()

    def leave(self, lane: Lane) -> None:
        """A handle is closed."""
        with self._lock:
            self._lanes.remove(lane)
            over = not self._lanes
        if over:
            for engine in {self._whole, self._share}:
                engine.close()


class Lane(Engine):
    """What one worker runs."""

    def __init__(self, engines: CpuEngines) -> None:
        self._engines = engines

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """Fuse ir [B,H,W] and vis [B,H,W,3] RGB, both uint8, into uint8 [B,H,W,3] RGB."""
        return self._engines.fuse(ir, vis)

    def describe(self) -> EngineDescription:
        """Of the model."""
        return self._engines.describe()

    def close(self) -> None:
        """Let go of this handle."""
        self._engines.leave(self)
