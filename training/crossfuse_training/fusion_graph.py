"""The graph that every bundle holds: 8-bit pictures in, an 8-bit picture out.

Exported, and run by the engines over PyTorch. Networks take luma of any size from 32 pixels and
pad for themselves; around them this adds the casts, the luma, the colour and the rounding, so that
no caller can get them wrong. On a CPU these full-resolution passes cost as much as a small network,
so they are few, and each is over one plane: the runtime broadcasts over interleaved channels
slowly.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# BT.601, full range.
RED, GREEN, BLUE = 0.299, 0.587, 0.114

# Luma is held this far inside 0..255, which rounding undoes. So no division below is 0 / 0; the
# number is exact in fp16 too.
_MARGIN = 0.125


class FusionGraph(nn.Module):
    """ir uint8 [B,H,W] and vis uint8 [B,H,W,3] RGB to fused uint8 [B,H,W,3] RGB."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        # TensorRT lets uint8 go into a cast and nowhere else.
        red, green, blue = (
            plane.squeeze(3).unsqueeze(1) for plane in vis.float().split_with_sizes([1, 1, 1], 3)
        )
        luma = red * RED + green * GREEN + blue * BLUE
        fused = self.network(ir.float().unsqueeze(1), luma)
        planes = recolour(fused, luma, (red, green, blue))
        # Halves go to the even number, as numpy rounds.
        return torch.stack(planes, dim=4).squeeze(1).round().to(torch.uint8)


def recolour(
    fused: Tensor, luma: Tensor, colours: tuple[Tensor, Tensor, Tensor]
) -> tuple[Tensor, ...]:
    """The fused luma in the colours of the visible picture, all [B,1,H,W] in 0..255.

    Each pixel's colour difference (channel minus luma) is scaled by the largest number up to 1
    that keeps all three channels within 0..255: luma and hue stay exact where clipping channel by
    channel would shift both. Three equal channels give three equal channels.
    """
    red, green, blue = colours
    fused = fused.clamp(_MARGIN, 255 - _MARGIN)
    brightest = torch.maximum(torch.maximum(red, green), blue)
    darkest = torch.minimum(torch.minimum(red, green), blue)
    # A grey pixel divides by about 0, to either infinity: whatever scale comes of it scales 0.
    room = torch.minimum((255 - fused) / (brightest - luma), fused / (luma - darkest))
    scale = room.clamp(0, 1)
    shift = fused - scale * luma
    return tuple(scale * colour + shift for colour in colours)
