"""Local contrast raised where a fused picture has light and little of it, [B,1,H,W] in 0..255.

The amount at a pixel follows from its surroundings and from fixed numbers, never from the extremes
of the picture, so a video does not flicker. Dark places keep theirs, which is mostly noise.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# Surroundings are taken at 1/8 of the size, where a wide neighbourhood costs next to nothing.
_POOL = 8
_SIGMA = 30.0
_RADIUS = 9

# Grey levels of the mean around a pixel from which on, and at which fully, it has light.
_DARK, _LIT = 40.0, 100.0

# Spread, in grey levels, at which half of the raise is left.
_ENOUGH = 20.0


def local_contrast(share: float) -> nn.Module:
    """The raise by up to `share`, or nothing."""
    return LocalContrast(share) if share else nn.Identity()


class LocalContrast(nn.Module):
    """Raises the distance of each pixel to the mean around it by up to `share` of it.

    It takes no part in training: what a fused picture is asked for is asked of it before the raise.
    """

    _kernel: Tensor

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share
        steps = torch.arange(-_RADIUS, _RADIUS + 1) * (_POOL / _SIGMA)
        kernel = torch.exp(-(steps**2) / 2)
        self.register_buffer("_kernel", kernel / kernel.sum(), persistent=False)

    def forward(self, picture: Tensor) -> Tensor:
        if self.training:
            return picture
        small = F.avg_pool2d(picture, _POOL)
        mean = self._around(small)
        spread = self._around((small - mean) ** 2)
        light = ((mean - _DARK) / (_LIT - _DARK)).clamp(0, 1)
        light = light * light * (3 - 2 * light)
        raised = self.share * light / (1 + spread / _ENOUGH**2)
        maps = torch.cat([1 + raised, -raised * mean], dim=1)
        gain, offset = F.interpolate(
            maps, size=picture.shape[2:], mode="bilinear", align_corners=False
        ).chunk(2, dim=1)
        return (gain * picture + offset).clamp(0, 255)

    def _around(self, small: Tensor) -> Tensor:
        """Gaussian means of maps [N,1,h,w]."""
        padded = F.pad(small, (_RADIUS,) * 4, mode="replicate")
        rows = F.conv2d(padded, self._kernel.view(1, 1, 1, -1))
        return F.conv2d(rows, self._kernel.view(1, 1, -1, 1))
