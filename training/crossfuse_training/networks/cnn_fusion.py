"""Two convolutions in place of cross-attention: the ablation that asks what attention adds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossfuse_training.networks.convolution import PaddedConv


class CnnFusion(nn.Module):
    """Features of two modalities, each [B,C,h,w], to one map of the same shape."""

    def __init__(self, channels: int, *, borders: str) -> None:
        super().__init__()
        self.join = PaddedConv(2 * channels, channels, borders=borders, act="relu")
        self.refine = PaddedConv(channels, channels, borders=borders)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        fused: Tensor = self.refine(self.join(torch.cat([ir, vis], dim=1)))
        return fused
