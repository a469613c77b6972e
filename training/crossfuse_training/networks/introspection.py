"""What the attention of a CrossFuse network looks at: recorded by hooks, stitched over tiles.

    with AttentionRecorder(network) as recorder:
        network(ir, vis)
    for record in recorder.records:
        received = record.received()      # [B,heads,rows,columns]

Nothing is recorded, and nothing in the network changes, outside of the `with` block.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from crossfuse_training.networks.attention import CrossAttention, SelfAttention
from crossfuse_training.networks.cross_attention import CrossAttentionModule
from crossfuse_training.networks.tiling import Grid, Tiling


@dataclass(frozen=True)
class AttentionRecord:
    """The attention weights of one module in one forward pass."""

    module: str
    """Dotted name of the module in the network."""
    weights: Tensor
    """[B*tiles,heads,queries,keys] on the CPU; each row sums to 1."""
    temperatures: Tensor | None
    """[heads], where the module has learned temperatures."""
    tiling: Tiling
    """The tiles, counted in tokens."""
    grid: Grid
    """How the pictures' tokens were cut into tiles."""

    def received(self) -> Tensor:
        """How much each token is looked at, [B,heads,rows,columns]; 1 is the average."""
        return self._stitched(self.weights.sum(dim=2))

    def entropies(self) -> Tensor:
        """Entropy in nats of where each token looks, [B,heads,rows,columns]."""
        return self._stitched(entropy(self.weights))

    def _stitched(self, per_token: Tensor) -> Tensor:
        """[B*tiles,heads,tokens] to one map of tokens for each picture."""
        side = self.tiling.tile
        return self.tiling.merge(per_token.reshape(-1, per_token.shape[1], side, side), self.grid)


def entropy(weights: Tensor) -> Tensor:
    """Shannon entropy in nats over the last dimension."""
    per_token: Tensor = torch.special.entr(weights).sum(-1)
    return per_token


class AttentionRecorder:
    """Keeps the attention of every module while its `with` block lasts."""

    def __init__(self, network: nn.Module) -> None:
        self.network = network
        self.records: list[AttentionRecord] = []
        self._handles: list[RemovableHandle] = []

    def __enter__(self) -> AttentionRecorder:
        for name, module in self.network.named_modules():
            if isinstance(module, CrossAttentionModule):
                self._watch(name, module)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _watch(self, name: str, cam: CrossAttentionModule) -> None:
        grids: list[Grid] = []
        patch = cam.patch
        tiling = Tiling(cam.tiling.tile // patch, cam.tiling.overlap // patch)

        def note_size(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
            height, width = inputs[0].shape[2:]
            cut = cam.tiling.grid(height, width)
            grids[:] = [cut._replace(height=-(-height // patch), width=-(-width // patch))]

        self._handles.append(cam.register_forward_pre_hook(note_size))
        for inner, attention in cam.named_modules():
            if isinstance(attention, SelfAttention | CrossAttention):
                self._record(f"{name}.{inner}", attention, tiling, grids)

    def _record(
        self,
        name: str,
        attention: SelfAttention | CrossAttention,
        tiling: Tiling,
        grids: list[Grid],
    ) -> None:
        temperature = attention.temperature if isinstance(attention, CrossAttention) else None

        def keep(_module: nn.Module, _inputs: tuple[Any, ...], weights: Tensor) -> None:
            taus = None
            if temperature is not None:
                taus = temperature.tau().detach().cpu().expand(weights.shape[1])
            self.records.append(
                AttentionRecord(name, weights.detach().cpu(), taus, tiling, grids[0])
            )

        self._handles.append(attention.normalise.register_forward_hook(keep))
