"""What the decoder adds to its maps at each level: every skip maps (decoded, ir, vis) to decoded.

The computed shares compare 3x3 box sums over *all* channels of the two modalities. They are
constants to the gradient, and are computed in single precision: their denominators are too small
for half precision.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossfuse_training.networks.convolution import zero_conv
from crossfuse_training.networks.precision import at_least_single
from crossfuse_training.networks.skip_gates import skip_gate

_EPSILON = 1e-6


def box_sum(features: Tensor, *, inside: bool) -> Tensor:
    """Mean over 3x3 positions of the sum over channels: [B,C,h,w] to [B,1,h,w].

    `inside` leaves positions beyond the border out of the mean; otherwise they count as zeros.
    """
    total = at_least_single(features).sum(1, keepdim=True)
    return F.avg_pool2d(total, 3, stride=1, padding=1, count_include_pad=not inside)


def shares(ir: Tensor, vis: Tensor) -> tuple[Tensor, Tensor]:
    """Each of two activities, 0 or more, over their sum."""
    total = ir + vis + _EPSILON
    return ir / total, vis / total


def signed_shares(ir: Tensor, vis: Tensor) -> tuple[Tensor, Tensor]:
    """The same for activities that can cancel to exactly zero, which must make no infinity."""
    total = ir + vis + _EPSILON
    total = torch.where(total == 0, _EPSILON, total)
    return ir / total, vis / total


class DeepShares(nn.Module):
    """Shares of the deep features by their box sums; bounded by 0..1 only if those are absolute."""

    def __init__(self, *, absolute: bool, inside: bool) -> None:
        super().__init__()
        self.absolute = absolute
        self.inside = inside

    def forward(self, ir: Tensor, vis: Tensor) -> tuple[Tensor, Tensor]:
        ir_sum = box_sum(ir.detach(), inside=self.inside)
        vis_sum = box_sum(vis.detach(), inside=self.inside)
        if self.absolute:
            return shares(ir_sum.abs(), vis_sum.abs())
        return signed_shares(ir_sum, vis_sum)


class ShallowShares(nn.Module):
    """Shares of the shallow features by their distance from the box sum, channel by channel."""

    def __init__(self, *, inside: bool) -> None:
        super().__init__()
        self.inside = inside

    def forward(self, ir: Tensor, vis: Tensor) -> tuple[Tensor, Tensor]:
        ir, vis = at_least_single(ir.detach()), at_least_single(vis.detach())
        ir_sum, vis_sum = (box_sum(features, inside=self.inside) for features in (ir, vis))
        return shares((ir - ir_sum).abs(), (vis - vis_sum).abs())


class ShareCorrection(nn.Module):
    """A learned number in -1/2..1/2 that is moved from one share to the other; starts at 0."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(2 * channels, channels, 3, padding=1)
        self.decide = zero_conv(channels, 1)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        mixed = torch.relu(self.mix(torch.cat([ir, vis], dim=1)))
        return torch.sigmoid(self.decide(mixed)) - 0.5


class WeightedSkip(nn.Module):
    """Adds both modalities, weighted by their shares, fixed scales and learned gates."""

    def __init__(
        self,
        channels: int,
        computed: nn.Module,
        *,
        gates: str,
        learned: bool,
        ir_scale: float = 1.0,
        vis_scale: float = 1.0,
    ) -> None:
        super().__init__()
        self.computed = computed
        self.correction = ShareCorrection(channels) if learned else None
        self.ir_gate = skip_gate(gates, channels, ir_scale)
        self.vis_gate = skip_gate(gates, channels, vis_scale)

    def forward(self, decoded: Tensor, ir: Tensor, vis: Tensor) -> Tensor:
        ir_share, vis_share = self.computed(ir, vis)
        if self.correction is not None:
            moved = self.correction(ir, vis)
            ir_share, vis_share = ir_share + moved, vis_share - moved
        ir_skip = self.ir_gate(ir_share * ir, decoded)
        vis_skip = self.vis_gate(vis_share * vis, decoded)
        result: Tensor = decoded + ir_skip + vis_skip
        return result


class BlockSkip(nn.Module):
    """Adds what a fusion block makes of both modalities."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, decoded: Tensor, ir: Tensor, vis: Tensor) -> Tensor:
        result: Tensor = decoded + self.block(ir, vis)
        return result


class LateralSkip(nn.Module):
    """Adds what a fusion block makes of an intermediate level, through a 1x1 convolution.

    The convolution starts at zero, so the network starts as the one without this skip. Encoder
    maps can be a row or column larger than the decoder's, which begin at the same corner.
    """

    def __init__(self, block: nn.Module, channels: int, outputs: int) -> None:
        super().__init__()
        self.block = block
        self.project = zero_conv(channels, outputs)

    def forward(self, decoded: Tensor, ir: Tensor, vis: Tensor) -> Tensor:
        height, width = decoded.shape[2:]
        lateral = self.project(self.block(ir, vis)[:, :, :height, :width])
        result: Tensor = decoded + lateral
        return result
