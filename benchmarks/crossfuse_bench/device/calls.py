"""Calls of an engine on a GPU that tell how long the GPU took for each of their phases."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from crossfuse.arrays import UInt8Array
from crossfuse.engines.tensorrt import TensorRTEngine
from crossfuse.errors import EngineError

QUEUED, GRAPH = "queued", "cuda-graph"
"""How the work of a call is started: kernel by kernel, or recorded once and started in one go."""


class DeviceCalls(ABC):
    """An engine of its own for a measurement, which one thread calls with pictures of one shape."""

    @abstractmethod
    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """Fuse ir [B,H,W] and vis [B,H,W,3] RGB, both uint8, into uint8 [B,H,W,3] RGB."""

    @abstractmethod
    def phases(self) -> dict[str, float]:
        """Milliseconds of the last call by phase, as the events in its stream tell."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """What is loaded, for the report."""

    @abstractmethod
    def close(self) -> None:
        """Free the device memory."""


class TensorRTCalls(DeviceCalls):
    """TensorRT itself: the engine's own calls, whose stream and graphs the clock is part of."""

    def __init__(self, engine: TensorRTEngine, *, graphs: bool) -> None:
        self._engine, self._graphs = engine, graphs
        self._clock = engine.clocked(graphs=graphs)
        self._first = True

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """As the engine does; the first call records the graph, and fails where none can be."""
        self._clock.taken()
        fused = self._engine.fuse(ir, vis)
        if self._first and self._graphs:
            refusals = self._engine.graph_refusals()
            if refusals:
                raise EngineError(f"no CUDA graph can be recorded: {'; '.join(refusals)}")
        self._first = False
        return fused

    def phases(self) -> dict[str, float]:
        """Of all parts of the last call."""
        return self._clock.taken()

    def describe(self) -> dict[str, Any]:
        """As the engine says."""
        return dict(vars(self._engine.describe()))

    def close(self) -> None:
        """Free it."""
        self._engine.close()
