"""Factors on skip connections: a fixed scale, and a learned factor that starts as exactly 1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossfuse_training.networks.convolution import zero_conv


class FactorGate(nn.Module):
    """A factor for the whole skip (size 1) or for each channel; one-dimensional, so not decayed."""

    def __init__(self, size: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.factor = nn.Parameter(torch.ones(size))

    def forward(self, skip: Tensor, decoded: Tensor) -> Tensor:
        return skip * (self.scale * self.factor)[:, None, None]


class AttentionGate(nn.Module):
    """A factor in 0..2 for each channel and position, from the skip and what the decoder has."""

    def __init__(self, channels: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.conv = zero_conv(2 * channels, channels)

    def forward(self, skip: Tensor, decoded: Tensor) -> Tensor:
        factor = torch.sigmoid(self.conv(torch.cat([decoded, skip], dim=1)))
        return skip * (2 * self.scale * factor)


class OpenGate(nn.Module):
    """The scale alone."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, skip: Tensor, decoded: Tensor) -> Tensor:
        # Full-size maps are large: a product with 1 is left out.
        return skip if self.scale == 1 else skip * self.scale


def skip_gate(kind: str, channels: int, scale: float) -> nn.Module:
    """The gate of that kind for a skip of that many channels."""
    if kind == "scalar":
        return FactorGate(1, scale)
    if kind == "channel":
        return FactorGate(channels, scale)
    if kind == "attention":
        return AttentionGate(channels, scale)
    return OpenGate(scale)
