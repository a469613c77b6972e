"""The real-time student: a small U-shaped body at low resolution, applied at full resolution.

The body never touches a full-resolution feature map. It sees both pictures through 4x4 patches
and predicts, for every pixel, how much of each picture to take and what to add:

    fused = ir_gain * ir + vis_gain * vis + offset

so the detail of both pictures reaches the result unblurred, whatever the body's resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossfuse_training.networks.contract import check_pair
from crossfuse_training.networks.convolution import mean_stem, picture_mean
from crossfuse_training.networks.heads import ClampedHead
from crossfuse_training.networks.local_contrast import local_contrast
from crossfuse_training.rules import require, require_name

PATCH = 4

# Pixels between two positions at the coarsest resolution: a margin of whole ones moves no position.
COARSEST = 16
HEADS = ("bounded",)


@dataclass(frozen=True)
class StudentConfig:
    """Every number of a student."""

    quarter_channels: int
    """Channels at 1/4 of the resolution, where most of the time goes."""
    eighth_channels: int
    """Channels at 1/8."""
    sixteenth_channels: int
    """Channels at 1/16."""
    sixteenth_layers: int
    """Residual convolutions at 1/16: what a pixel knows of its surroundings comes from them."""
    largest_gain: float
    """Upper limit of both gains; at 1 neither the noise nor the detail of a picture grows."""
    offset_scale: float
    """Grey levels for one unit of the last convolution's offset."""
    mean_input: bool
    """Every pixel also knows the means of both pictures: what is warm depends on the scene."""
    margin: int
    """Pixels of the mirrored picture that the body sees around it; with 0 it sees zeros there, and
    the fused picture has a lighter rim where the infrared is cold and the visible bright."""
    lift: float
    """Share by which local contrast is raised in the end, where there is light and little of it."""
    head: str
    """bounded: clamped to 0..255; stretching to each picture's extremes makes video flicker."""

    def __post_init__(self) -> None:
        for field in (
            "quarter_channels",
            "eighth_channels",
            "sixteenth_channels",
            "sixteenth_layers",
        ):
            value = getattr(self, field)
            require(isinstance(value, int) and value >= 1, field, value, "a whole number from 1")
        for field in ("largest_gain", "offset_scale"):
            value = getattr(self, field)
            require(isinstance(value, int | float) and value > 0, field, value, "a number above 0")
        require(
            self.margin in (0, COARSEST),
            "margin",
            self.margin,
            f"0 or {COARSEST}: a picture of 32 pixels cannot be mirrored further",
        )
        require(0 <= self.lift <= 1, "lift", self.lift, "0 to 1")
        require(isinstance(self.mean_input, bool), "mean_input", self.mean_input, "true or false")
        require_name("head", self.head, HEADS)

    @property
    def tracing_side(self) -> int:
        """Smallest side of an example picture that an exporter may trace with."""
        return 16 * PATCH


class PatchStem(nn.Conv2d):
    """Features of the patches of an image in 0..255 and of its mirrored margin.

    What a last patch lacks is mirrored too.
    """

    def __init__(self, outputs: int, *, margin: int, bias: bool) -> None:
        super().__init__(1, outputs, PATCH, PATCH, bias=bias)
        self.margin = margin

    def forward(self, image: Tensor) -> Tensor:
        # The scale goes into the weights, where an exporter folds it away, not over the picture.
        before, after = self.margin, self.margin + PATCH - 1
        whole = F.pad(image, (before, after, before, after), mode="reflect")
        return F.conv2d(whole, self.weight / 255, self.bias, stride=PATCH)


class Student(nn.Module):
    """Fuses ir and vis luma, float [B,1,H,W] in 0..255, H and W at least 32, to the same kind."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        quarter, eighth = config.quarter_channels, config.eighth_channels
        sixteenth = config.sixteenth_channels
        self.ir_stem = PatchStem(quarter, margin=config.margin, bias=True)
        self.vis_stem = PatchStem(quarter, margin=config.margin, bias=False)
        self.mean_stem = mean_stem(2, quarter) if config.mean_input else None
        self.quarter = _conv3(quarter, quarter)
        self.to_eighth = _conv3(quarter, eighth, stride=2)
        self.eighth = _conv3(eighth, eighth)
        self.to_sixteenth = _conv3(eighth, sixteenth, stride=2)
        self.sixteenth = nn.ModuleList(
            _conv3(sixteenth, sixteenth) for _ in range(config.sixteenth_layers)
        )
        self.up_to_eighth = nn.Conv2d(sixteenth, eighth, 1)
        self.merge_eighth = _conv3(eighth, eighth)
        self.up_to_quarter = nn.Conv2d(eighth, quarter, 1)
        self.merge_quarter = _conv3(quarter, quarter)
        self.ir_gain = nn.Conv2d(quarter, PATCH * PATCH, 1)
        self.vis_gain = nn.Conv2d(quarter, PATCH * PATCH, 1)
        self.offset = nn.Conv2d(quarter, PATCH * PATCH, 1)
        self.output_head = ClampedHead(1.0, 0.0)
        self.local_contrast = local_contrast(config.lift)
        self._initialise()

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        check_pair(ir, vis)
        features = self._features(ir, vis)
        largest = self.config.largest_gain
        ir_gain = self._pixels(largest * F.hardsigmoid(self.ir_gain(features)), ir)
        vis_gain = self._pixels(largest * F.hardsigmoid(self.vis_gain(features)), ir)
        offset = self._pixels(self.config.offset_scale * self.offset(features), ir)
        plain = self.output_head(ir_gain * ir + vis_gain * vis + offset)
        fused: Tensor = self.local_contrast(plain)
        return fused

    def _features(self, ir: Tensor, vis: Tensor) -> Tensor:
        """Features of every patch of the pictures and of their margin, [B,C,h,w]."""
        stem = self.ir_stem(ir) + self.vis_stem(vis)
        if self.mean_stem is not None:
            means = torch.cat([picture_mean(ir), picture_mean(vis)], dim=1)
            stem = stem + self.mean_stem(means / 255)
        quarter = F.relu(stem)
        quarter = F.relu(self.quarter(quarter))
        eighth = F.relu(self.eighth(F.relu(self.to_eighth(quarter))))
        deep = F.relu(self.to_sixteenth(eighth))
        for layer in self.sixteenth:
            deep = F.relu(deep + layer(deep))
        eighth = F.relu(self.merge_eighth(eighth + _double(self.up_to_eighth(deep), eighth)))
        return F.relu(self.merge_quarter(quarter + _double(self.up_to_quarter(eighth), quarter)))

    def _pixels(self, patches: Tensor, like: Tensor) -> Tensor:
        """The numbers of each patch laid out as its pixels, without the margin around `like`."""
        begin, (height, width) = self.config.margin, like.shape[2:]
        laid_out = F.pixel_shuffle(patches, PATCH)
        return laid_out[:, :, begin : begin + height, begin : begin + width]

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.mean_stem is not None:
            nn.init.zeros_(self.mean_stem.weight)
        # Residual layers start near the identity, and the fused picture near (ir + vis) / 2.
        with torch.no_grad():
            for parameter in self.sixteenth.parameters():
                parameter.mul_(0.3)
            for layer in (self.ir_gain, self.vis_gain, self.offset):
                layer.weight.mul_(0.05)


def _conv3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, padding=1)


def _double(features: Tensor, like: Tensor) -> Tensor:
    """Features at twice the size, cut to the height and width of `like`."""
    double = F.interpolate(features, scale_factor=2.0, mode="nearest")
    return double[:, :, : like.shape[2], : like.shape[3]]
