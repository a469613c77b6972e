"""Channel switching and spatial attention (CSSA): a fusion block of about a hundred parameters.

Each modality's channels are weighted by a narrow attention across channels; a channel whose weight
is below the threshold is taken from the other modality. A 7x7 convolution over the mean and the
maximum of all channels then decides at each position how much of which modality to take.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_SPATIAL_KERNEL = 7


class ChannelAttention(nn.Module):
    """A weight in 0..1 for each channel, from the means of it and its neighbours."""

    def __init__(self, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, kernel, padding=kernel // 2, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        means = features.mean(dim=(2, 3)).unsqueeze(1)
        weights: Tensor = torch.sigmoid(self.conv(means)).squeeze(1)[:, :, None, None]
        return weights


class Cssa(nn.Module):
    """Features of two modalities, each [B,C,h,w], to one map of the same shape."""

    def __init__(self, *, kernel: int, threshold: float) -> None:
        super().__init__()
        self.threshold = threshold
        self.attend_ir = ChannelAttention(kernel)
        self.attend_vis = ChannelAttention(kernel)
        self.spatial = nn.Conv2d(2, 1, _SPATIAL_KERNEL, padding=_SPATIAL_KERNEL // 2)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        ir_weight, vis_weight = self.attend_ir(ir), self.attend_vis(vis)
        weighted_ir, weighted_vis = ir_weight * ir, vis_weight * vis
        switched_ir = torch.where(ir_weight < self.threshold, weighted_vis, weighted_ir)
        switched_vis = torch.where(vis_weight < self.threshold, weighted_ir, weighted_vis)
        both = torch.cat([switched_ir, switched_vis], dim=1)
        summary = torch.cat([both.mean(1, keepdim=True), both.amax(1, keepdim=True)], dim=1)
        share = torch.sigmoid(self.spatial(summary))
        return share * switched_ir + (1 - share) * switched_vis
