"""Numbers and switches of the encoder and of its stage-1 auto-encoder.

All fields are plain strings, numbers and booleans, so a configuration goes through JSON and back
unchanged. The defaults are the published network.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from crossfuse_training.rules import require, require_name

BORDERS = ("reflect", "zeros")
ACTIVATIONS = ("none", "relu", "leaky_relu", "gelu")
UPSAMPLINGS = ("nearest", "bilinear")


def require_types(config: EncoderConfig) -> None:
    """Refuse a field whose value is not of the type of its default (a whole float may be int)."""
    kinds = {
        str: "a name, in quotes if it is a number",
        bool: "true or false",
        int: "a whole number",
        float: "a number",
    }
    for field in fields(config):
        value, kind = getattr(config, field.name), type(field.default)
        fits = type(value) is kind or (kind is float and type(value) is int)
        require(fits, field.name, value, kinds[kind])


@dataclass(frozen=True)
class EncoderConfig:
    """The encoder of one modality: a stem and two dense blocks, each after a max pool."""

    shallow_channels: int = 32
    """Channels of the full-resolution features that skip to the end of the decoder."""
    growth_channels: int = 64
    """Channels that each dense convolution adds."""
    dense_layers: int = 3
    """Dense convolutions in each of the two blocks."""
    half_channels: int = 128
    """Output channels of the first dense block, at 1/2 of the resolution."""
    deep_channels: int = 128
    """Output channels of the second dense block, at 1/4, and of the deep features, at 1/8."""
    encoder_activation: str = "none"
    """After each dense convolution; the published encoder has none."""
    borders: str = "reflect"
    """How 3x3 convolutions see beyond the border: reflect or zeros, which runs faster."""
    mean_input: bool = False
    """Every pixel also knows the mean of its picture: whether it is warm depends on the scene."""

    def __post_init__(self) -> None:
        require_types(self)
        for field in (
            "shallow_channels",
            "growth_channels",
            "dense_layers",
            "half_channels",
            "deep_channels",
        ):
            require(getattr(self, field) >= 1, field, getattr(self, field), "1 or more")
        require_name("encoder_activation", self.encoder_activation, ACTIVATIONS)
        require_name("borders", self.borders, BORDERS)


@dataclass(frozen=True)
class AutoEncoderConfig(EncoderConfig):
    """Stage 1: an encoder and the decoder that rebuilds its input."""

    decoder_channels: int = 64
    """Channels of the decoder at 1/8 and 1/4."""
    decoder_activation: str = "none"
    """After each decoder convolution but the last."""
    upsampling: str = "nearest"
    output_scale: float = 1.0
    """Factor on the last convolution; 255 lets it work on 0..1 like the encoder does."""
    head: str = "linear"
    """The reconstruction is not clamped, so that a loss sees how far off it is."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.decoder_channels >= 1, "decoder_channels", self.decoder_channels, "1 or more")
        require_name("decoder_activation", self.decoder_activation, ACTIVATIONS)
        require_name("upsampling", self.upsampling, UPSAMPLINGS)
        require(self.output_scale > 0, "output_scale", self.output_scale, "above 0")
        require_name("head", self.head, ("linear",))
