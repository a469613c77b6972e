"""Where the attention of a CrossFuse network looks on one pair, reduced to maps of tokens.

All weights of a pair are large (151 MB at 480x640 for the published network), so the weights of a
module are reduced as soon as it is done, and at most one module's are in memory.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from crossfuse.errors import InvalidInput
from crossfuse_training.networks.attention import CrossAttention, SelfAttention
from crossfuse_training.networks.cross_attention import CrossAttentionModule
from crossfuse_training.networks.head_statistics import (
    HeadStatistics,
    HeadThresholds,
    head_statistics,
)
from crossfuse_training.networks.introspection import AttentionRecord, AttentionRecorder
from crossfuse_training.tensors import as_tensor, grey_levels

UNIFORM_FROM = 0.999
"""Relative entropy from which attention is plain averaging: weights within about 10 % (of 256)."""
LARGEST_GAZE = 1 << 23
"""Pairs of tokens above which the gaze of a module is left out."""

_KIND_OF_MODULE = re.compile(
    r"self_layers\.(?P<layer>\d+)\.(?P<own>ir|vis)\."
    r"|cross\.(?P<asks>ir|vis)_to_(?P<answers>ir|vis)\.blocks\.(?P<block>\d+)\."
)
_PIXELS_OF_POSITION = {"deep_fusion": 8, "decoder.quarter_skip.block": 4}
_NAMES = {"ir": "infrared", "vis": "visible"}


@dataclass(frozen=True)
class Gaze:
    """Where each token looks, as the mean of all heads."""

    shares: NDArray[np.float16]
    """[tiles,queries,keys], the attention weights times keys; 1 is uniform."""
    tile: int
    """Side of a tile in tokens."""
    stride: int
    """Tokens from the start of one tile to the start of the next."""
    columns: int
    """Tiles beside each other."""


@dataclass(frozen=True)
class ModuleMaps:
    """The attention of one module; rows and columns of its maps are tokens."""

    module: str
    """Dotted name in the network."""
    title: str
    asks: str
    """Picture the queries come from: ir or vis."""
    looked_at: str
    """Picture the keys come from: ir or vis."""
    token_side: int
    """Side of a token in pixels."""
    received: NDArray[np.float32]
    """How much each token is looked at, [heads,rows,columns]; 1 is the average."""
    entropies: NDArray[np.float32]
    """Entropy in nats of where each token looks, [heads,rows,columns]."""
    heads: Sequence[HeadStatistics]
    gaze: Gaze | None
    """None where it has more pairs of tokens than LARGEST_GAZE."""

    @property
    def relative_entropy(self) -> float:
        """Mean over heads; 1 is uniform attention."""
        return float(np.mean([row.relative_entropy for row in self.heads]))

    @property
    def uniform(self) -> bool:
        """Whether the module does no more than average all tokens."""
        return is_uniform(self.relative_entropy)


def is_uniform(relative_entropy: float) -> bool:
    """Whether attention of this mean relative entropy is plain averaging."""
    return relative_entropy >= UNIFORM_FROM


def require_attention(network: nn.Module, source: str) -> None:
    """Refuse a network that has no attention to look at."""
    if not any(isinstance(m, SelfAttention | CrossAttention) for m in network.modules()):
        raise InvalidInput(
            "checkpoint",
            f"{source}, which has no cross-attention module",
            "a network of the crossfuse architecture with fusion_block=cam and attention layers",
        )


def attention_maps(
    network: nn.Module,
    ir: NDArray[np.uint8],
    luma: NDArray[np.uint8],
    thresholds: HeadThresholds | None = None,
) -> tuple[NDArray[np.uint8], list[ModuleMaps]]:
    """Fuse infrared and visible luma, both uint8 HxW: the fused luma, and the maps on the way."""
    found: list[ModuleMaps] = []
    patches = {
        name: module.patch
        for name, module in network.named_modules()
        if isinstance(module, CrossAttentionModule)
    }
    with torch.no_grad(), AttentionRecorder(network) as recorder:

        def reduce(*_: object) -> None:
            record = recorder.records.pop()
            patch = next(side for name, side in patches.items() if record.module.startswith(name))
            found.append(_maps(record, patch, thresholds))

        handles = [
            module.register_forward_hook(reduce)
            for module in network.modules()
            if isinstance(module, SelfAttention | CrossAttention)
        ]
        try:
            fused = network(as_tensor([ir]), as_tensor([luma]))
        finally:
            for handle in handles:
                handle.remove()
    return grey_levels(fused), found


def _maps(record: AttentionRecord, patch: int, thresholds: HeadThresholds | None) -> ModuleMaps:
    title, asks, looked_at = _describe(record.module)
    pixels = next(
        side for name, side in _PIXELS_OF_POSITION.items() if record.module.startswith(name)
    )
    return ModuleMaps(
        module=record.module,
        title=title,
        asks=asks,
        looked_at=looked_at,
        token_side=pixels * patch,
        received=record.received()[0].numpy(),
        entropies=record.entropies()[0].numpy(),
        heads=head_statistics([record], thresholds),
        gaze=_gaze(record),
    )


def _describe(module: str) -> tuple[str, str, str]:
    """Title, the picture that asks, and the picture that is looked at."""
    match = _KIND_OF_MODULE.search(module)
    assert match is not None, module
    where = "" if module.startswith("deep_fusion.") else ", at 1/4"
    if match["own"]:
        layer = int(match["layer"]) + 1
        return f"Self-attention {layer}, {_NAMES[match['own']]}{where}", match["own"], match["own"]
    block = f" {int(match['block']) + 1}" if match["block"] != "0" else ""
    asks, answers = match["asks"], match["answers"]
    title = f"Cross-attention{block}, {_NAMES[asks]} looks at {_NAMES[answers]}{where}"
    return title, asks, answers


def _gaze(record: AttentionRecord) -> Gaze | None:
    tiles, _, queries, keys = record.weights.shape
    if tiles * queries * keys > LARGEST_GAZE:
        return None
    shares = record.weights.mean(dim=1) * keys
    return Gaze(
        shares.half().numpy(), record.tiling.tile, record.tiling.stride, record.grid.columns
    )
