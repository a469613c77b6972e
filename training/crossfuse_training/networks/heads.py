"""Output heads: the decoder's map to grey levels, float [B,1,H,W] in 0..255.

minmax stretches each picture to its own extremes, as published: one hot pixel dims a frame, and
video flickers. bounded and affine know no statistics of the picture, only fixed numbers; affine's
are calibrated, so that weights trained with minmax can be used on video.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossfuse.errors import InvalidInput
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.precision import at_least_single

GREY_OFFSET_SCALE = 128.0
"""Grey levels for one unit of an offset map."""
_EPSILON = 1e-6


class MinMaxHead(nn.Module):
    """Stretches each picture to 0..255; a constant picture becomes 0."""

    def forward(self, raw: Tensor) -> Tensor:
        raw = at_least_single(raw)
        low = raw.amin(dim=(2, 3), keepdim=True)
        high = raw.amax(dim=(2, 3), keepdim=True)
        return (raw - low) / (high - low + _EPSILON) * 255


class ClampedHead(nn.Module):
    """gain * raw + offset, clamped to 0..255.

    In training the gradient passes the clamp, so a pixel that left the range can come back.
    """

    def __init__(self, gain: float, offset: float) -> None:
        super().__init__()
        self.gain = gain
        self.offset = offset

    def forward(self, raw: Tensor) -> Tensor:
        grey = self.gain * at_least_single(raw) + self.offset
        clamped = grey.clamp(0, 255)
        if self.training:
            return clamped.detach() + (grey - grey.detach())
        return clamped


def apply_gains(maps: Tensor, ir: Tensor, vis: Tensor) -> Tensor:
    """The picture that maps [B,3,H,W] describe: a gain up to 1 of each picture, and an offset."""
    ir_gain, vis_gain = F.hardsigmoid(maps[:, :1]), F.hardsigmoid(maps[:, 1:2])
    return ir_gain * ir + vis_gain * vis + GREY_OFFSET_SCALE * maps[:, 2:]


def output_head(config: CrossFuseConfig) -> nn.Module:
    """The head that the configuration names."""
    if config.head == "minmax":
        return MinMaxHead()
    if config.output == "gains":
        return ClampedHead(1.0, 0.0)
    # The bounded head is the affine one at the numbers that the configuration holds it to.
    return ClampedHead(config.affine_gain, config.affine_offset)


@torch.no_grad()
def affine_calibration(raw_maps: Iterable[Tensor]) -> tuple[float, float]:
    """Gain and offset that send the mean lowest and mean highest raw value to 0 and 255.

    Takes the decoder's maps [B,1,H,W] (`CrossFuse.decode`) of pictures that stand for those to
    come. On one picture the result is what minmax does.
    """
    lows: list[Tensor] = []
    highs: list[Tensor] = []
    for raw in raw_maps:
        lows.append(raw.amin(dim=(1, 2, 3)))
        highs.append(raw.amax(dim=(1, 2, 3)))
    if not lows:
        raise InvalidInput("raw_maps", "no maps", "at least one map")
    low, high = float(torch.cat(lows).mean()), float(torch.cat(highs).mean())
    if not high - low > _EPSILON:
        raise InvalidInput("raw_maps", f"values from {low:g} to {high:g}", "maps that vary")
    gain = 255 / (high - low)
    return gain, -gain * low
