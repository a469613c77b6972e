"""The encoder of one modality: full-resolution features, and features at 1/2, 1/4 and 1/8."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from crossfuse_training.networks.config import EncoderConfig
from crossfuse_training.networks.convolution import (
    PaddedConv,
    activation,
    border,
    mean_stem,
    picture_mean,
)


class EncoderFeatures(NamedTuple):
    """What an encoder makes of a picture of [B,1,H,W]; sizes are rounded down at each halving."""

    shallow: Tensor
    half: Tensor
    quarter: Tensor
    deep: Tensor


class DenseBlock(nn.Module):
    """Convolutions that each see the block's input and all outputs before, and one that sums up."""

    def __init__(self, inputs: int, outputs: int, config: EncoderConfig) -> None:
        super().__init__()
        growth, layers = config.growth_channels, config.dense_layers
        self.pad, padding = border(config.borders)
        self.dense = nn.ModuleList(
            nn.Conv2d(inputs + growth * layer, growth, 3, padding=padding)
            for layer in range(layers)
        )
        self.act = activation(config.encoder_activation)
        self.adjust = nn.Conv2d(inputs + growth * layers, outputs, 3, padding=padding)

    def forward(self, features: Tensor) -> Tensor:
        # Padding each map once and joining the padded maps is the same as padding every join.
        padded = self.pad(features)
        for conv in self.dense:
            padded = torch.cat([padded, self.pad(self.act(conv(padded)))], dim=1)
        result: Tensor = self.adjust(padded)
        return result


class Encoder(nn.Module):
    """Stem, then twice: max pool and dense block; a last max pool gives the deep features.

    Without an activation (the published form) the max pools are its only non-linearity.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.stem = PaddedConv(1, config.shallow_channels, borders=config.borders)
        self.mean_stem = mean_stem(1, config.shallow_channels) if config.mean_input else None
        self.pool = nn.MaxPool2d(2)
        self.half_block = DenseBlock(config.shallow_channels, config.half_channels, config)
        self.quarter_block = DenseBlock(config.half_channels, config.deep_channels, config)

    def forward(self, image: Tensor) -> EncoderFeatures:
        """Encode a picture, float [B,1,H,W] in 0..255."""
        shallow = self.stem(image / 255)
        if self.mean_stem is not None:
            shallow = shallow + self.mean_stem(picture_mean(image) / 255)
        half = self.half_block(self.pool(shallow))
        quarter = self.quarter_block(self.pool(half))
        return EncoderFeatures(shallow, half, quarter, self.pool(quarter))
