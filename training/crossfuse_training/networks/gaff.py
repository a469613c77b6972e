"""Guided attentive feature fusion (GAFF): squeeze-excite, inter-modality guidance, merge.

A light alternative to cross-attention: global pooling, 1x1 convolutions, sigmoids, sums.
Parameters for C channels in, O out, reduction r, with C/r rounded down (at least 1):
squeeze-excite 2 * 2 * C * (C/r), guidance 4 * C^2, merge 2*C*O + 2*O, or 2*C^2 + C*O + 2*C + 2*O
with the bottleneck.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SqueezeExcite(nn.Module):
    """Scales each channel by a number in 0..1 computed from the means of all channels."""

    def __init__(self, channels: int, reduction: int) -> None:
        super().__init__()
        reduced = max(channels // reduction, 1)
        self.squeeze = nn.Conv2d(channels, reduced, 1, bias=False)
        self.excite = nn.Conv2d(reduced, channels, 1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        means = features.mean(dim=(2, 3), keepdim=True)
        scales = torch.sigmoid(self.excite(torch.relu(self.squeeze(means))))
        return features * scales


class SharedGuidance(nn.Module):
    """Weights of both modalities from one convolution of both."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2 * channels, 2 * channels, 1, bias=False)

    def forward(self, both: Tensor) -> tuple[Tensor, Tensor]:
        for_ir, for_vis = torch.sigmoid(self.conv(both)).chunk(2, dim=1)
        return for_ir, for_vis


class SeparateGuidance(nn.Module):
    """Weights of both modalities from a convolution each; computes what the shared one computes."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.for_ir = nn.Conv2d(2 * channels, channels, 1, bias=False)
        self.for_vis = nn.Conv2d(2 * channels, channels, 1, bias=False)

    def forward(self, both: Tensor) -> tuple[Tensor, Tensor]:
        return torch.sigmoid(self.for_ir(both)), torch.sigmoid(self.for_vis(both))


def _merge(channels: int, outputs: int, *, bottleneck: bool) -> nn.Sequential:
    if not bottleneck:
        return nn.Sequential(
            nn.Conv2d(2 * channels, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )
    return nn.Sequential(
        nn.Conv2d(2 * channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
    )


class Gaff(nn.Module):
    """Features of two modalities, each [B,C,h,w], to one map [B,O,h,w]."""

    def __init__(
        self,
        channels: int,
        outputs: int,
        *,
        reduction: int = 4,
        shared: bool = False,
        bottleneck: bool = False,
    ) -> None:
        super().__init__()
        self.excite_ir = SqueezeExcite(channels, reduction)
        self.excite_vis = SqueezeExcite(channels, reduction)
        self.guidance = SharedGuidance(channels) if shared else SeparateGuidance(channels)
        self.merge = _merge(channels, outputs, bottleneck=bottleneck)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        from_vis, from_ir = self.guidance(torch.cat([ir, vis], dim=1))
        guided_ir = self.excite_ir(ir) + from_vis * vis
        guided_vis = self.excite_vis(vis) + from_ir * ir
        merged: Tensor = self.merge(torch.cat([guided_ir, guided_vis], dim=1))
        return merged
