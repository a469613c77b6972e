"""Engines over PyTorch: what the exported models are compared with, in numbers and in time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crossfuse.arrays import UInt8Array
from crossfuse.engines import Engine, EngineDescription
from crossfuse.errors import ProviderUnavailable
from crossfuse_training.engines.tile_loop import MINIMUM_SIZE as TILE_LOOP_MINIMUM
from crossfuse_training.engines.tile_loop import TileLoopCrossFuse
from crossfuse_training.fusion_graph import FusionGraph
from crossfuse_training.networks.contract import SMALLEST_SIDE

Graph = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Source:
    """The network an engine runs, and what it is called in reports."""

    network: nn.Module
    name: str
    sha256: str


class EagerEngine(Engine):
    """Runs a network in single precision, operation by operation."""

    provider = "eager"
    minimum_size = SMALLEST_SIDE

    def __init__(self, source: Source, *, device: str = "cpu") -> None:
        self._device = torch.device(device)
        self.graph = self._build(FusionGraph(source.network).eval().to(self._device))
        """What `fuse` calls with tensors on the device; measurements call it themselves."""
        self._description = EngineDescription(
            name=source.name,
            version=1,
            precision="fp32",
            sha256=source.sha256,
            device=device,
            provider=self.provider,
            runtime=f"torch {torch.__version__}",
            threads=torch.get_num_threads(),
            minimum_size=self.minimum_size,
        )

    def _build(self, graph: FusionGraph) -> Graph:
        return graph

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """Fuse ir [B,H,W] and vis [B,H,W,3] RGB, both uint8, into uint8 [B,H,W,3] RGB."""
        with torch.no_grad():
            fused = self.graph(
                torch.from_numpy(ir).to(self._device), torch.from_numpy(vis).to(self._device)
            )
        result: UInt8Array = fused.cpu().numpy()
        return result

    def describe(self) -> EngineDescription:
        """What is loaded, and on what."""
        return self._description


class CompiledEngine(EagerEngine):
    """Runs a network through torch.compile, which builds it anew for sizes it has not met."""

    provider = "torch.compile"

    def __init__(self, source: Source, *, device: str = "cpu") -> None:
        self._lock = threading.Lock()
        try:
            super().__init__(source, device=device)
            self.warm_up(2 * self.minimum_size, 2 * self.minimum_size)
        except Exception as error:  # whatever the compiler behind it raises
            reason = " ".join(str(error).split()) or type(error).__name__
            raise ProviderUnavailable(
                f"engine: got 'compiled', but torch.compile cannot build {source.name} here "
                f"({reason:.300}); valid here: eager, tile_loop"
            ) from error

    def _build(self, graph: FusionGraph) -> Graph:
        compiled: Graph = torch.compile(graph)
        return compiled

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """As EagerEngine.fuse; one call at a time, because any of them may have to compile."""
        with self._lock:
            return super().fuse(ir, vis)


class TileLoopEngine(EagerEngine):
    """Runs the published network as its authors do, picture by picture and tile by tile."""

    provider = "eager, tile loop"
    minimum_size = TILE_LOOP_MINIMUM

    def _build(self, graph: FusionGraph) -> Graph:
        published = FusionGraph(TileLoopCrossFuse(graph.network)).eval().to(self._device)

        def one_by_one(ir: Tensor, vis: Tensor) -> Tensor:
            pairs = zip(ir[:, None], vis[:, None], strict=True)
            return torch.cat([published(*pair) for pair in pairs])

        return one_by_one
