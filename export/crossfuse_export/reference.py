"""The PyTorch network of a checkpoint as the measure of exported files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from crossfuse.arrays import UInt8Array
from crossfuse_export.pictures import Picture
from crossfuse_training.fusion_graph import FusionGraph
from crossfuse_training.networks.heads import MinMaxHead


class Reference:
    """A network, run eagerly in the graph that bundles hold, and what its minmax head stretches."""

    def __init__(self, network: nn.Module) -> None:
        self._graph = FusionGraph(network).eval()

    def fuse(self, picture: Picture) -> tuple[UInt8Array, float | None]:
        """The fused picture [H,W,3], and the range before a minmax head."""
        with self._watched_head() as spreads:
            fused = self.run(picture.ir[None], picture.vis[None])[0]
        return fused, spreads[0] if spreads else None

    def run(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """Fuse ir [B,H,W] and vis [B,H,W,3] RGB into [B,H,W,3], all uint8."""
        with torch.no_grad():
            fused = self._graph(
                torch.from_numpy(np.ascontiguousarray(ir)),
                torch.from_numpy(np.ascontiguousarray(vis)),
            )
        result: UInt8Array = fused.numpy()
        return result

    @contextmanager
    def _watched_head(self) -> Iterator[list[float]]:
        """The range of what goes into a minmax head meanwhile; the network is left as it was."""
        spreads: list[float] = []

        def note(_head: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = torch.aminmax(inputs[0])
            spreads.append(float(high - low))

        head = getattr(self._graph.network, "head", None)
        if not isinstance(head, MinMaxHead):
            yield spreads
            return
        handle = head.register_forward_pre_hook(note)
        try:
            yield spreads
        finally:
            handle.remove()
