"""The larger student: MobileNetV3-style encoders, cross-modal attention at three scales, a U-Net.

Like the real-time student it works below full resolution and predicts, for every pixel, how much
of each picture to take and what to add:

    fused = ir_gain * ir + vis_gain * vis + offset

so the detail of both pictures reaches the result unblurred. Unlike the real-time student it sees
the whole picture: squeeze-excite and attention take means over all of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossfuse_training.networks.contract import check_pair
from crossfuse_training.networks.convolution import upsample, zero_conv
from crossfuse_training.networks.cross_modal import CrossModalFusion
from crossfuse_training.networks.heads import ClampedHead
from crossfuse_training.networks.mobile_blocks import ConvNorm, InvertedResidual
from crossfuse_training.networks.tiling import extend_to_multiple
from crossfuse_training.rules import require, require_name

HEADS = ("bounded",)
_PATCH = 2
_DEEPEST = 16


@dataclass(frozen=True)
class RtPlusConfig:
    """Every number of the larger student."""

    half_channels: int
    """Channels at 1/2 of the resolution, where the maps for the pixels are made."""
    quarter_channels: int
    """Channels at 1/4; these and the deeper ones are multiples of head_width."""
    eighth_channels: int
    sixteenth_channels: int
    quarter_blocks: int
    """Inverted residuals of each encoder at 1/4; the first one halves the resolution."""
    eighth_blocks: int
    sixteenth_blocks: int
    expansion: int
    """How many times wider an inverted residual is inside."""
    excite_reduction: int
    """How many times narrower squeeze-excite is inside."""
    head_width: int
    """Channels of a head of cross-attention, and so the number of its summaries."""
    offset_scale: float
    """Grey levels for one unit of the last convolution's offset."""
    head: str
    """bounded: clamped to 0..255, without statistics of the picture."""

    def __post_init__(self) -> None:
        for field in (
            "half_channels",
            "quarter_blocks",
            "eighth_blocks",
            "sixteenth_blocks",
            "expansion",
            "excite_reduction",
            "head_width",
        ):
            value = getattr(self, field)
            require(isinstance(value, int) and value >= 1, field, value, "a whole number from 1")
        for field in ("quarter_channels", "eighth_channels", "sixteenth_channels"):
            value = getattr(self, field)
            require(
                isinstance(value, int) and value >= 1 and value % self.head_width == 0,
                field,
                value,
                f"a multiple of head_width={self.head_width}",
            )
        scale: Any = self.offset_scale
        require(
            isinstance(scale, int | float) and scale > 0, "offset_scale", scale, "a number above 0"
        )
        require_name("head", self.head, HEADS)


class Pyramid(NamedTuple):
    """Features of one modality at 1/2, 1/4, 1/8 and 1/16 of the resolution."""

    half: Tensor
    quarter: Tensor
    eighth: Tensor
    sixteenth: Tensor


class MobileEncoder(nn.Module):
    """A picture [B,1,H,W] in 0..1, sides multiples of 16, to its pyramid."""

    def __init__(self, config: RtPlusConfig) -> None:
        super().__init__()
        half, quarter = config.half_channels, config.quarter_channels
        eighth, sixteenth = config.eighth_channels, config.sixteenth_channels
        self.to_half = nn.Sequential(
            ConvNorm(1, half, 3, stride=2, act="relu"),
            InvertedResidual(half, half, expansion=1, kernel=3, act="relu"),
        )
        self.to_quarter = _fine_stage(half, quarter, config.quarter_blocks, config)
        self.to_eighth = _deep_stage(quarter, eighth, config.eighth_blocks, config)
        self.to_sixteenth = _deep_stage(eighth, sixteenth, config.sixteenth_blocks, config)

    def forward(self, image: Tensor) -> Pyramid:
        half = self.to_half(image)
        quarter = self.to_quarter(half)
        eighth = self.to_eighth(quarter)
        return Pyramid(half, quarter, eighth, self.to_sixteenth(eighth))


class DecoderStage(nn.Module):
    """Deep features, doubled and added to the skip, through a block that keeps the skip's shape."""

    def __init__(self, deep: int, skip: int, block: nn.Module) -> None:
        super().__init__()
        self.narrow = ConvNorm(deep, skip, 1)
        self.upsample = upsample("nearest")
        self.block = block

    def forward(self, deep: Tensor, skip: Tensor) -> Tensor:
        result: Tensor = self.block(skip + self.upsample(self.narrow(deep)))
        return result


class RtPlus(nn.Module):
    """Fuses ir and vis luma, float [B,1,H,W] in 0..255, H and W at least 32, to the same kind.

    With fresh weights the result is the mean of the two.
    """

    def __init__(self, config: RtPlusConfig) -> None:
        super().__init__()
        self.config = config
        half, quarter = config.half_channels, config.quarter_channels
        eighth, sixteenth = config.eighth_channels, config.sixteenth_channels
        self.ir_encoder = MobileEncoder(config)
        self.vis_encoder = MobileEncoder(config)
        self.fuse_sixteenth = _fusion(sixteenth, config)
        self.fuse_eighth = _fusion(eighth, config)
        self.fuse_quarter = _fusion(quarter, config)
        self.fuse_half = ConvNorm(2 * half, half, 1, act="relu")
        self.decode_eighth = DecoderStage(
            sixteenth, eighth, _block(eighth, eighth, config, act="hardswish")
        )
        self.decode_quarter = DecoderStage(
            eighth, quarter, _block(quarter, quarter, config, act="relu")
        )
        self.decode_half = DecoderStage(quarter, half, ConvNorm(half, half, 3, act="relu"))
        self.maps = zero_conv(half, 3 * _PATCH * _PATCH)
        self.output_head = ClampedHead(1.0, 0.0)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        check_pair(ir, vis)
        height, width = ir.shape[2:]
        maps = self._maps(self._features(ir, vis))[:, :, :height, :width]
        ir_gain, vis_gain, offset = maps.chunk(3, dim=1)
        fused: Tensor = self.output_head(ir_gain * ir + vis_gain * vis + offset)
        return fused

    def _features(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Features [B,C,h,w] at 1/2 of the sides, which are extended to multiples of 16."""
        from_ir: Pyramid = self.ir_encoder(extend_to_multiple(ir, _DEEPEST) / 255)
        from_vis: Pyramid = self.vis_encoder(extend_to_multiple(vis, _DEEPEST) / 255)
        deep = self.fuse_sixteenth(from_ir.sixteenth, from_vis.sixteenth)
        deep = self.decode_eighth(deep, self.fuse_eighth(from_ir.eighth, from_vis.eighth))
        deep = self.decode_quarter(deep, self.fuse_quarter(from_ir.quarter, from_vis.quarter))
        half = self.fuse_half(torch.cat([from_ir.half, from_vis.half], dim=1))
        decoded: Tensor = self.decode_half(deep, half)
        return decoded

    def _maps(self, features: Tensor) -> Tensor:
        """Gains of both pictures in 0..1 and the offset in grey levels: [B,3,H,W] from 1/2."""
        raw = self.maps(features)
        gains = F.hardsigmoid(raw[:, : 2 * _PATCH * _PATCH])
        offsets = self.config.offset_scale * raw[:, 2 * _PATCH * _PATCH :]
        return F.pixel_shuffle(torch.cat([gains, offsets], dim=1), _PATCH)


def _fine_stage(inputs: int, outputs: int, blocks: int, config: RtPlusConfig) -> nn.Sequential:
    """Inverted residuals for large maps; the first one halves the resolution."""
    return nn.Sequential(
        _block(inputs, outputs, config, act="relu", stride=2),
        *(_block(outputs, outputs, config, act="relu") for _ in range(blocks - 1)),
    )


def _deep_stage(inputs: int, outputs: int, blocks: int, config: RtPlusConfig) -> nn.Sequential:
    """Inverted residuals that see further and weigh channels; the first one halves the size."""
    return nn.Sequential(
        *(
            InvertedResidual(
                outputs if number else inputs,
                outputs,
                expansion=config.expansion,
                kernel=5,
                act="hardswish",
                stride=1 if number else 2,
                excite_reduction=config.excite_reduction,
            )
            for number in range(blocks)
        )
    )


def _block(
    inputs: int, outputs: int, config: RtPlusConfig, *, act: str, stride: int = 1
) -> InvertedResidual:
    return InvertedResidual(
        inputs, outputs, expansion=config.expansion, kernel=3, act=act, stride=stride
    )


def _fusion(channels: int, config: RtPlusConfig) -> CrossModalFusion:
    return CrossModalFusion(
        channels, excite_reduction=config.excite_reduction, head_width=config.head_width
    )
