"""The decoder: fused deep features and the encoders' features back to one full-size map."""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from crossfuse_training.networks.convolution import PaddedConv, upsample, zero_conv
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.encoder import EncoderFeatures
from crossfuse_training.networks.tiling import centre_in


class FusionDecoder(nn.Module):
    """Three doublings of the size; each level adds its skip, `None` where it has none."""

    def __init__(
        self,
        config: CrossFuseConfig,
        *,
        deep_skip: nn.Module,
        quarter_skip: nn.Module | None,
        half_skip: nn.Module | None,
        shallow_skip: nn.Module,
    ) -> None:
        super().__init__()
        width, shallow = config.decoder_channels, config.shallow_channels
        norm, act = config.decoder_norm != "none", config.decoder_activation
        self.deep_skip = deep_skip
        self.quarter_skip = quarter_skip
        self.half_skip = half_skip
        self.shallow_skip = shallow_skip
        self.sizes_fit = config.pad_input
        self.enlarge = upsample(config.upsampling)
        conv = partial(PaddedConv, borders=config.borders, norm=norm, act=act)
        self.at_eighth = conv(config.deep_channels, width)
        self.at_quarter = conv(width, width)
        self.at_half = conv(width, shallow)
        self.at_full = conv(shallow, shallow)
        self.last = nn.Conv2d(shallow, 1, 1) if config.output == "direct" else zero_conv(shallow, 3)
        self.last_norm = nn.BatchNorm2d(1) if config.decoder_norm == "batch" else nn.Identity()

    def forward(self, fused: Tensor, ir: EncoderFeatures, vis: EncoderFeatures) -> Tensor:
        """Decode [B,C,H//8,W//8] to the map [B,1,H,W], or to the three that describe it."""
        decoded = self.at_eighth(self.deep_skip(fused, ir.deep, vis.deep))
        decoded = self.enlarge(decoded)
        if self.quarter_skip is not None:
            decoded = self.quarter_skip(decoded, ir.quarter, vis.quarter)
        decoded = self.enlarge(self.at_quarter(decoded))
        if self.half_skip is not None:
            decoded = self.half_skip(decoded, ir.half, vis.half)
        decoded = self.at_full(self.enlarge(self.at_half(decoded)))
        if not self.sizes_fit:
            # Sizes that are no multiple of 8 lost up to 7 rows and columns in the encoder.
            decoded = centre_in(decoded, ir.shallow.shape[2], ir.shallow.shape[3])
        decoded = self.shallow_skip(decoded, ir.shallow, vis.shallow)
        result: Tensor = self.last_norm(self.last(decoded))
        return result
