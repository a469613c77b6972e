"""How the larger student joins two modalities at one scale: channel and spatial cross-attention."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossfuse_training.networks.gaff import SqueezeExcite
from crossfuse_training.networks.mobile_blocks import ConvNorm

KEY_LIMIT = 2.0
"""Keys lie within plus and minus this: e^4 = 55 is the most that one position counts for another,
so that no hot pixel takes over the summaries of a whole picture."""


class LinearCrossAttention(nn.Module):
    """Each position of one modality reads summaries of the other.

    A summary is a mean over all positions, weighted by a softmax over them; a position mixes the
    summaries by a softmax over them. Unlike attention between all pairs of positions, the cost
    grows with the area and not with its square, and unlike windows there are no seams.
    """

    def __init__(self, channels: int, head_width: int) -> None:
        super().__init__()
        # Both directions run side by side: two groups of channels, each with its own heads.
        self.heads = (2 * channels // head_width, head_width)
        self.query = nn.Conv2d(2 * channels, 2 * channels, 1, groups=2, bias=False)
        self.key = nn.Conv2d(2 * channels, 2 * channels, 1, groups=2, bias=False)
        self.value = nn.Conv2d(2 * channels, 2 * channels, 1, groups=2, bias=False)

    def forward(self, own: Tensor, other: Tensor) -> Tensor:
        """Features of both modalities [B,2C,h,w] and the same swapped; to what each found."""
        # [B,heads of both directions,head_width,h*w] each.
        query, key, value = (
            tokens.flatten(2).unflatten(1, self.heads)
            for tokens in (self.query(own), self.key(other), self.value(other))
        )
        summaries = value @ (KEY_LIMIT * key.tanh()).softmax(dim=3).transpose(2, 3)
        found: Tensor = (summaries @ query.softmax(dim=2)).reshape(own.shape)
        return found


class CrossModalFusion(nn.Module):
    """Features of two modalities, each [B,C,h,w], to one map [B,C,h,w].

    Channel attention weighs the channels of both by the means of both, spatial cross-attention
    finds what each has for the other, and a 1x1 convolution merges.
    """

    def __init__(self, channels: int, *, excite_reduction: int, head_width: int) -> None:
        super().__init__()
        self.channel_attention = SqueezeExcite(2 * channels, excite_reduction)
        self.cross_attention = LinearCrossAttention(channels, head_width)
        self.merge = ConvNorm(4 * channels, channels, 1, act="hardswish")

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        both = torch.cat([ir, vis], dim=1)
        weighed = self.channel_attention(both)
        found = self.cross_attention(both, torch.cat([vis, ir], dim=1))
        merged: Tensor = self.merge(torch.cat([weighed, found], dim=1))
        return merged
