"""Stage 1: the auto-encoder that teaches an encoder to keep what its modality shows."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from crossfuse_training.networks.config import AutoEncoderConfig
from crossfuse_training.networks.contract import check_image
from crossfuse_training.networks.convolution import PaddedConv, upsample
from crossfuse_training.networks.encoder import Encoder, EncoderFeatures
from crossfuse_training.networks.tiling import centre_in


class ReconstructionDecoder(nn.Module):
    """Deep features to the size of the picture, plus the shallow features, to one map."""

    def __init__(self, config: AutoEncoderConfig) -> None:
        super().__init__()
        width = config.decoder_channels
        self.enlarge = upsample(config.upsampling)
        conv = partial(PaddedConv, borders=config.borders, act=config.decoder_activation)
        self.at_eighth = conv(config.deep_channels, width)
        self.at_quarter = conv(width, width)
        self.at_half = conv(width, config.shallow_channels)
        self.last = nn.Conv2d(config.shallow_channels, 1, 1)

    def forward(self, features: EncoderFeatures) -> Tensor:
        decoded = self.at_quarter(self.enlarge(self.at_eighth(features.deep)))
        decoded = self.enlarge(self.at_half(self.enlarge(decoded)))
        decoded = centre_in(decoded, features.shallow.shape[2], features.shallow.shape[3])
        result: Tensor = self.last(decoded + features.shallow)
        return result


class AutoEncoder(nn.Module):
    """Encoder and reconstruction decoder of one modality.

    Takes a picture, float [B,1,H,W] in 0..255, H and W at least 32, and gives its reconstruction
    in the same units, not clamped.
    """

    def __init__(self, config: AutoEncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config)
        self.decoder = ReconstructionDecoder(config)

    def forward(self, image: Tensor) -> Tensor:
        check_image("image", image)
        result: Tensor = self.config.output_scale * self.decoder(self.encoder(image))
        return result
