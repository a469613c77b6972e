"""Convolution that keeps the size, and the activations and up-samplings that go around it."""

from __future__ import annotations

from torch import Tensor, nn

from crossfuse_training.networks.precision import at_least_single

_NEGATIVE_SLOPE = 0.1


def activation(name: str) -> nn.Module:
    """The activation of that name; `none` is the identity."""
    layers: dict[str, nn.Module] = {
        "none": nn.Identity(),
        "relu": nn.ReLU(),
        "leaky_relu": nn.LeakyReLU(_NEGATIVE_SLOPE),
        "gelu": nn.GELU(),
        "hardswish": nn.Hardswish(),
    }
    return layers[name]


def upsample(mode: str) -> nn.Module:
    """Doubles height and width, by repetition (nearest) or bilinearly (pixel centres kept)."""
    if mode == "nearest":
        return nn.Upsample(scale_factor=2, mode="nearest")
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)


def zero_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A 1x1 convolution that starts as zero, so that what it feeds starts unchanged."""
    conv = nn.Conv2d(inputs, outputs, 1)
    for parameter in conv.parameters():
        nn.init.zeros_(parameter)
    return conv


def border(borders: str) -> tuple[nn.Module, int]:
    """What to put before a 3x3 convolution to keep the size, and the padding to give it."""
    if borders == "reflect":
        return nn.ReflectionPad2d(1), 0
    return nn.Identity(), 1


def picture_mean(image: Tensor) -> Tensor:
    """The mean of each picture and channel, [B,C,1,1]."""
    # A sum over a picture leaves the range of half precision.
    return at_least_single(image).mean(dim=(2, 3), keepdim=True).to(image.dtype)


def mean_stem(inputs: int, outputs: int) -> nn.Conv2d:
    """What the means of the pictures add to every pixel's features; nothing at first."""
    conv = nn.Conv2d(inputs, outputs, 1, bias=False)
    nn.init.zeros_(conv.weight)
    return conv


class PaddedConv(nn.Module):
    """3x3 convolution that keeps the size, with an optional norm and activation."""

    def __init__(
        self, inputs: int, outputs: int, *, borders: str, norm: bool = False, act: str = "none"
    ) -> None:
        super().__init__()
        self.pad, padding = border(borders)
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=padding)
        self.norm = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.act = activation(act)

    def forward(self, features: Tensor) -> Tensor:
        result: Tensor = self.act(self.norm(self.conv(self.pad(features))))
        return result
