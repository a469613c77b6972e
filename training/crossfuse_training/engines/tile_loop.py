"""The published CrossFuse as its authors run it: the baseline that speed is stated against.

Plain eager PyTorch, nothing rearranged: every join of maps is padded anew, the 3x3 box filters are
dense convolutions over all channels, batch normalisation is a step of its own, self-attention is
done on half-shifted tiles, and the attention module is called tile by tile in a Python loop. So it
takes one picture at a time, of at least 136 pixels a side: what it reflects must be smaller than
the map.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossfuse.errors import InvalidInput
from crossfuse_training.networks.convolution import PaddedConv
from crossfuse_training.networks.cross_attention import CrossAttentionModule, TokenPair
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.crossfuse_variants import PUBLISHED
from crossfuse_training.networks.encoder import DenseBlock, Encoder

MINIMUM_SIZE = 136
SHALLOW_IR_SCALE = 0.5
_EPSILON = 1e-6


class TileLoopCrossFuse(nn.Module):
    """Takes and gives what `CrossFuse` does, for one pair; uses that network's weights."""

    shallow_box: Tensor
    deep_box: Tensor

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        if not (isinstance(network, CrossFuse) and _is_published(network.config)):
            raise InvalidInput(
                "network",
                f"{type(network).__name__} of another form",
                "a CrossFuse of the published form, of any width",
            )
        self.network = network
        config = network.config
        self.register_buffer("shallow_box", _box(config.shallow_channels))
        self.register_buffer("deep_box", _box(config.deep_channels))

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        ir_shallow, ir_deep = _encode(self.network.ir_encoder, ir)
        vis_shallow, vis_deep = _encode(self.network.vis_encoder, vis)
        fused = self._decode(
            self._fuse_deep(ir_deep, vis_deep), ir_shallow, ir_deep, vis_shallow, vis_deep
        )
        low, high = fused.min(), fused.max()
        return (fused - low) / (high - low + _EPSILON) * 255

    def _fuse_deep(self, ir: Tensor, vis: Tensor) -> Tensor:
        tile = self.network.config.tile
        height, width = ir.shape[2:]
        edges = (0, -width % tile, 0, -height % tile)
        ir, vis = F.pad(ir, edges, mode="reflect"), F.pad(vis, edges, mode="reflect")
        rows = []
        for top in range(0, ir.shape[2], tile):
            row = [
                self._fuse_tile(
                    ir[:, :, top : top + tile, left : left + tile],
                    vis[:, :, top : top + tile, left : left + tile],
                )
                for left in range(0, ir.shape[3], tile)
            ]
            rows.append(torch.cat(row, dim=3))
        return torch.cat(rows, dim=2)[:, :, :height, :width]

    def _fuse_tile(self, ir: Tensor, vis: Tensor) -> Tensor:
        attention = cast(CrossAttentionModule, self.network.deep_fusion)
        config = self.network.config
        pair = TokenPair(_tokens(ir, config.patch), _tokens(vis, config.patch))
        first, second = attention.self_layers
        pair = first(pair)
        half = config.tile // 2
        shifted = [_tokens(_map(part, config, -half), config.patch) for part in pair]
        pair = second(TokenPair(*shifted))
        pair = TokenPair(*(_tokens(_map(part, config, half), config.patch) for part in pair))
        return _map(attention.cross(pair), config, 0)

    def _decode(
        self, fused: Tensor, ir_shallow: Tensor, ir_deep: Tensor, vis_shallow: Tensor,
        vis_deep: Tensor,
    ) -> Tensor:  # fmt: skip
        decoder = self.network.decoder
        ir_sum, vis_sum = (F.conv2d(part, self.deep_box, padding=1) for part in (ir_deep, vis_deep))
        total = ir_sum + vis_sum + _EPSILON
        fused = fused + ir_sum / total * ir_deep + vis_sum / total * vis_deep
        decoded = _norm_conv(decoder.at_eighth, fused)
        for layer in (decoder.at_quarter, decoder.at_half, decoder.at_full):
            decoded = _norm_conv(layer, F.interpolate(decoded, scale_factor=2.0, mode="nearest"))
        below = ir_shallow.shape[2] - decoded.shape[2]
        right = ir_shallow.shape[3] - decoded.shape[3]
        edges = (right // 2, right - right // 2, below // 2, below - below // 2)
        decoded = F.pad(decoded, edges, mode="reflect")
        ir_detail, vis_detail = (
            ((part - F.conv2d(part, self.shallow_box, padding=1)) ** 2).sqrt()
            for part in (ir_shallow, vis_shallow)
        )
        total = ir_detail + vis_detail + _EPSILON
        decoded = decoded + SHALLOW_IR_SCALE * (ir_detail / total) * ir_shallow
        decoded = decoded + vis_detail / total * vis_shallow
        result: Tensor = decoder.last_norm(decoder.last(decoded))
        return result


def _is_published(config: CrossFuseConfig) -> bool:
    """Whether only widths differ from the published network, which has two self-attentions."""
    widths = ("shallow", "growth", "half", "deep", "decoder")
    same = {f"{part}_channels": getattr(config, f"{part}_channels") for part in widths}
    return config == replace(PUBLISHED, **same, heads=config.heads, mlp_ratio=config.mlp_ratio)


def _box(channels: int) -> Tensor:
    """The kernel of a box filter whose every output is the sum over all channels."""
    return torch.full((channels, channels, 3, 3), 1 / 9)


def _encode(encoder: Encoder, image: Tensor) -> tuple[Tensor, Tensor]:
    shallow = _conv(encoder.stem.conv, image / 255)
    half = _dense(encoder.half_block, F.max_pool2d(shallow, 2))
    quarter = _dense(encoder.quarter_block, F.max_pool2d(half, 2))
    return shallow, F.max_pool2d(quarter, 2)


def _dense(block: DenseBlock, features: Tensor) -> Tensor:
    for layer in block.dense:
        features = torch.cat([features, _conv(cast(nn.Conv2d, layer), features)], dim=1)
    return _conv(block.adjust, features)


def _conv(layer: nn.Conv2d, features: Tensor) -> Tensor:
    result: Tensor = layer(F.pad(features, (1, 1, 1, 1), mode="reflect"))
    return result


def _norm_conv(layer: PaddedConv, features: Tensor) -> Tensor:
    result: Tensor = layer.norm(_conv(layer.conv, features))
    return result


def _tokens(tile: Tensor, patch: int) -> Tensor:
    """A tile [1,C,t,t] as tokens [1,T,C*p*p]."""
    return F.unfold(tile, patch, stride=patch).transpose(1, 2)


def _map(tokens: Tensor, config: CrossFuseConfig, shift: int) -> Tensor:
    """Tokens back to a tile, moved around by `shift` positions both ways."""
    size = (config.tile, config.tile)
    tile = F.fold(tokens.transpose(1, 2), size, config.patch, stride=config.patch)
    return torch.roll(tile, (shift, shift), dims=(2, 3)) if shift else tile
