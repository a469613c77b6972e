"""The directed term: what a directly trained network is asked for, [B,1,H,W] in 0..255.

Fusion has no right answer, so three wishes are weighed against each other: a brightness, the
stronger of the two gradients at every pixel, and the structure of both pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from crossfuse_training.losses.structure import gaussian_line
from crossfuse_training.losses.terms import Term
from crossfuse_training.rules import require, require_name

REFERENCES = ("background", "mean")
_BASE_POOL = 8
_SSIM_WINDOW = 11
_SSIM_SIGMA = 1.5
_SSIM_C1 = (0.01 * 255) ** 2
_SSIM_C2 = (0.03 * 255) ** 2


@dataclass(frozen=True)
class DirectedWishes:
    """Weights of the wishes and the numbers inside them; differences are in grey levels."""

    intensity: float
    """Weight of the distance to the wished brightness, pixel by pixel."""
    base: float
    """Weight of the same distance between means over 8x8 pixels, which leave texture free."""
    gradient: float
    """Weight of the distance to the stronger gradient."""
    structure: float
    """Weight of 1 - SSIM to each of the two pictures."""
    warmer_share: float
    """Share of the infrared above its background that brightens the visible picture."""
    colder_share: float
    """Share of the infrared below its background that darkens it."""
    hot_from: float
    """Grey levels above the background from which a body counts as hot and keeps its own level."""
    hot_span: float
    """Grey levels further up, where it does so fully."""
    gradient_floor: float
    """Squared gradient by which the infrared must exceed the visible: its noise is no detail."""
    reference: str = "background"
    """What the infrared is warm or cold against: its background, which is its mean over a wide
    neighbourhood, or its mean over the whole cut, which a network knows with mean_input."""

    def __post_init__(self) -> None:
        for field in fields(DirectedWishes):
            value = getattr(self, field.name)
            if field.name != "reference":
                require(value >= 0, f"loss.directed.{field.name}", value, "0 or more")
        require_name("loss.directed.reference", self.reference, REFERENCES)
        require(self.hot_span > 0, "loss.directed.hot_span", self.hot_span, "above 0")


@dataclass(frozen=True, kw_only=True)
class DirectedTerm(Term, DirectedWishes):
    """The wishes, as a term beside others."""

    key: ClassVar[str] = "loss.directed"

    weight: float = 1.0

    def __post_init__(self) -> None:
        Term.__post_init__(self)
        DirectedWishes.__post_init__(self)


def fusion_loss(
    fused: Tensor, ir: Tensor, luma: Tensor, background: Tensor, config: DirectedWishes
) -> tuple[Tensor, Mapping[str, Tensor]]:
    """The weighted sum, and each part before its weight."""
    difference = fused - wished_brightness(ir, luma, background, config)
    wished = _stronger_gradient(ir, luma, config.gradient_floor)
    parts = {
        "intensity": difference.abs().mean(),
        "base": F.avg_pool2d(difference, _BASE_POOL).abs().mean(),
        "gradient": (_gradient(fused) - wished).abs().mean(),
        "structure": 2 - 2 * mean_ssim(fused, ir, luma),
    }
    total = sum((getattr(config, name) * part for name, part in parts.items()), torch.zeros(()))
    return total, parts


def wished_brightness(
    ir: Tensor, luma: Tensor, background: Tensor, config: DirectedWishes
) -> Tensor:
    """The visible picture, changed by what the infrared shows against its reference.

    Where the infrared is flat nothing is added: adding its level, as the maximum of both does,
    lays a grey veil over everything dark. The result stays between the two pictures, so nothing
    is washed out, and hot bodies keep their infrared level at least.
    """
    if config.reference == "mean":
        background = ir.mean(dim=(2, 3), keepdim=True)
    contrast = ir - background
    share = torch.where(contrast > 0, config.warmer_share, config.colder_share)
    changed = luma + share * contrast
    changed = torch.minimum(
        torch.maximum(changed, torch.minimum(ir, luma)), torch.maximum(ir, luma)
    )
    rise = ((contrast - config.hot_from) / config.hot_span).clamp(0, 1)
    hot = rise * rise * (3 - 2 * rise)
    return changed + hot * F.relu(ir - changed)


def mean_ssim(fused: Tensor, ir: Tensor, luma: Tensor) -> Tensor:
    """Mean of SSIM(fused, ir) and SSIM(fused, luma): Gaussian 11/1.5, data range 255.

    Taken at every second pixel of each direction: the windows still overlap by 9 of 11 pixels,
    and on a CPU it is several times faster.
    """
    count = len(fused)
    stacked = torch.cat([fused, fused * fused, fused * ir, fused * luma])
    mean, square, *products = torch.split(_blur(stacked), count)
    references = torch.split(_blur(torch.cat([ir, luma, ir * ir, luma * luma])), count)
    variance = square - mean * mean
    total = torch.zeros((), device=fused.device)
    for product, reference, reference_square in zip(
        products, references[:2], references[2:], strict=True
    ):
        covariance = product - mean * reference
        reference_variance = reference_square - reference * reference
        luminance = (2 * mean * reference + _SSIM_C1) / (mean**2 + reference**2 + _SSIM_C1)
        structure = (2 * covariance + _SSIM_C2) / (variance + reference_variance + _SSIM_C2)
        total = total + (luminance * structure).mean()
    return total / 2


def _blur(images: Tensor) -> Tensor:
    kernel = gaussian_line(_SSIM_WINDOW, _SSIM_SIGMA, images)
    rows = F.conv2d(images, kernel.view(1, 1, 1, -1), stride=(1, 2))
    return F.conv2d(rows, kernel.view(1, 1, -1, 1), stride=(2, 1))


def _gradient(image: Tensor) -> Tensor:
    """Horizontal and vertical Sobel gradient in grey levels per pixel, [B,2,H-2,W-2]."""
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], device=image.device) / 8
    return F.conv2d(image, torch.stack([across, across.T])[:, None])


def _stronger_gradient(ir: Tensor, luma: Tensor, floor: float) -> Tensor:
    """At each pixel the gradient, with its sign, of the picture that changes more around it."""
    ir_gradient, luma_gradient = _gradient(ir), _gradient(luma)
    ir_power, luma_power = (
        F.avg_pool2d(gradient.square().sum(1, keepdim=True), 3, stride=1, padding=1)
        for gradient in (ir_gradient, luma_gradient)
    )
    return torch.where(ir_power > luma_power + floor, ir_gradient, luma_gradient)
