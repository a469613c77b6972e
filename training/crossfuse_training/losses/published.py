"""The losses of the published stage 2, number for number, on [B,1,H,W] in 0..255."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

_WINDOW = 11
_EPSILON = 1e-6


def intensity_loss(fused: Tensor, ir: Tensor, vis: Tensor) -> Tensor:
    """Mean squared distance to the source that is brighter on average over 11x11 pixels.

    Pixels beyond the border count as 0; where both are equally bright the visible one is taken.
    """
    ir_mean, vis_mean = (
        F.avg_pool2d(picture, _WINDOW, stride=1, padding=_WINDOW // 2) for picture in (ir, vis)
    )
    both = ir_mean + vis_mean + _EPSILON
    target = torch.where(ir_mean / both - vis_mean / both > 0, ir, vis)
    return F.mse_loss(fused, target)


def gradient_loss(fused: Tensor, ir: Tensor, vis: Tensor) -> Tensor:
    """Mean squared distance of positive Laplacians to the larger one of the sources."""
    wished = torch.maximum(positive_laplacian(ir), positive_laplacian(vis))
    return F.mse_loss(positive_laplacian(fused), wished)


def positive_laplacian(picture: Tensor) -> Tensor:
    """Four neighbours minus four times the pixel, zeros beyond the border, negatives as 0."""
    kernel = picture.new_tensor([[0.0, 1.0, 0.0], [1.0, -4.0, 1.0], [0.0, 1.0, 0.0]])
    return F.conv2d(picture, kernel[None, None], padding=1).clamp(min=0)
