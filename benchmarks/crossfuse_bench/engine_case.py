"""What one row of `bench engine` runs, and under which conditions."""

from __future__ import annotations

from dataclasses import dataclass

from crossfuse_bench.rivals import RULES

GPU_DEVICES = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}


@dataclass(frozen=True)
class EngineCase:
    """One engine at one size."""

    model: str
    """A model as `--model` takes it, or the name of a rival."""
    height: int
    width: int
    rival: bool = False
    device: str = "cpu"
    precision: str = "auto"
    batch: int = 1
    threads: int = 1
    count_work: bool = False
    """Whether to count floating-point operations as well; takes a few calls more."""
    launch: str = ""
    """How work is started on a GPU; empty: as the engine itself does."""

    @property
    def on_gpu(self) -> bool:
        """Simple rules never run there."""
        return self.device in GPU_DEVICES and not (self.rival and self.model in RULES)
