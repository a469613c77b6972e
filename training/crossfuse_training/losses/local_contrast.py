"""Local contrast raised where a picture has light and little contrast, [B,1,H,W] in 0..255.

The amounts follow from each pixel's surroundings and from fixed numbers, never from the extremes of
the picture, so a video does not flicker. Dark places keep theirs: what they hold is mostly noise.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_POOL = 8
_MEAN_SIGMA = 30.0
_SPREAD_SIGMA = 20.0

# Grey levels of the mean around a pixel from which on, and at which fully, it has light.
_DARK, _LIT = 40.0, 100.0

# Spread, in grey levels, at which half of the raise is left.
_ENOUGH = 20.0


def lift_contrast(picture: Tensor, share: float) -> tuple[Tensor, Tensor]:
    """The picture with its distance to the mean around each pixel raised, and by what factor."""
    mean = _around(picture, _MEAN_SIGMA)
    distance = picture - mean
    spread = _around(distance.square(), _SPREAD_SIGMA)
    light = ((mean - _DARK) / (_LIT - _DARK)).clamp(0, 1)
    light = light * light * (3 - 2 * light)
    factor = 1 + share * light / (1 + spread / _ENOUGH**2)
    return (mean + factor * distance).clamp(0, 255), factor


def _around(picture: Tensor, sigma: float) -> Tensor:
    """Gaussian mean; taken at 1/8 of the size, where a wide one costs next to nothing."""
    height, width = picture.shape[2:]
    small = F.avg_pool2d(picture, _POOL, ceil_mode=True, count_include_pad=False)
    radius = round(2.5 * sigma / _POOL)
    position = torch.arange(-radius, radius + 1, device=picture.device, dtype=picture.dtype)
    kernel = torch.exp(-((position * _POOL / sigma) ** 2) / 2)
    kernel = kernel / kernel.sum()
    small = F.pad(small, (radius,) * 4, mode="replicate")
    small = F.conv2d(F.conv2d(small, kernel.view(1, 1, 1, -1)), kernel.view(1, 1, -1, 1))
    large = F.interpolate(small, scale_factor=float(_POOL), mode="bilinear", align_corners=False)
    return large[:, :, :height, :width]
