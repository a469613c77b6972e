"""The contract of an engine: batches of arrays in and out; it knows no files, pairs or requests."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from crossfuse.arrays import UInt8Array


@dataclass(frozen=True)
class EngineDescription:
    """What runs, and where; `provider` is what the runtime reported after loading."""

    name: str
    version: int
    precision: str
    sha256: str
    device: str
    provider: str
    runtime: str
    threads: int
    minimum_size: int


class Engine(ABC):
    """Fuses batches on one device. Loading is the constructor; calls may come from any thread."""

    @abstractmethod
    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """Fuse ir [B,H,W] and vis [B,H,W,3] RGB, both uint8, into uint8 [B,H,W,3] RGB."""

    @abstractmethod
    def describe(self) -> EngineDescription:
        """What is loaded, for reports and server information."""

    def warm_up(self, height: int, width: int, batch: int = 1) -> None:
        """Run once at a size, so that the first real call does not pay for allocation."""
        ramp = np.linspace(0, 255, height * width, dtype=np.uint8).reshape(1, height, width)
        ir = np.repeat(ramp, batch, axis=0)
        self.fuse(ir, np.repeat(ir[..., None], 3, axis=3))

    def close(self) -> None:  # noqa: B027 - engines that hold nothing have nothing to free
        """Free the device memory; the engine is not used afterwards."""
