"""The CrossFuse network: encoders, deep fusion, decoder and output head, put together."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from crossfuse_training.networks.cnn_fusion import CnnFusion
from crossfuse_training.networks.contract import check_pair
from crossfuse_training.networks.cross_attention import CrossAttentionModule
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.cssa import Cssa
from crossfuse_training.networks.encoder import Encoder
from crossfuse_training.networks.fusion_decoder import FusionDecoder
from crossfuse_training.networks.gaff import Gaff
from crossfuse_training.networks.heads import apply_gains, output_head
from crossfuse_training.networks.local_contrast import local_contrast
from crossfuse_training.networks.skips import (
    BlockSkip,
    DeepShares,
    LateralSkip,
    ShallowShares,
    WeightedSkip,
)
from crossfuse_training.networks.tiling import extend_to_multiple


class ResidualGates(nn.Module):
    """b * (ir + vis) / 2 + s * fused, with b and s learned."""

    def __init__(self, base: float) -> None:
        super().__init__()
        self.base = nn.Parameter(torch.tensor([base]))
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, fused: Tensor, ir: Tensor, vis: Tensor) -> Tensor:
        return self.base * ((ir + vis) / 2) + self.scale * fused


class CrossFuse(nn.Module):
    """Infrared and visible picture to one fused picture.

    Takes float tensors [B,1,H,W] in 0..255, any batch, H and W at least 32, and gives one such
    tensor. With official weights it computes what the published network computes wherever that
    runs (sides of at least 136 pixels).
    """

    def __init__(self, config: CrossFuseConfig) -> None:
        super().__init__()
        self.config = config
        self.ir_encoder = Encoder(config)
        self.vis_encoder = Encoder(config)
        self.deep_fusion = (
            CrossAttentionModule(config)
            if config.has_deep_cam
            else _light_block(config, config.deep_channels)
        )
        self.residual = ResidualGates(config.residual_base) if config.residual_gates else None
        self.decoder = FusionDecoder(
            config,
            deep_skip=_deep_skip(config),
            quarter_skip=_quarter_skip(config),
            half_skip=_half_skip(config),
            shallow_skip=_shallow_skip(config),
        )
        self.head = output_head(config)
        self.local_contrast = local_contrast(config.lift)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        fused: Tensor = self.local_contrast(self.head(self.decode(ir, vis)))
        return fused

    def decode(self, ir: Tensor, vis: Tensor) -> Tensor:
        """The map [B,1,H,W] that the output head turns into grey levels."""
        check_pair(ir, vis)
        height, width = ir.shape[2:]
        if self.config.pad_input:
            ir, vis = extend_to_multiple(ir, 8), extend_to_multiple(vis, 8)
        ir_features, vis_features = self.ir_encoder(ir), self.vis_encoder(vis)
        fused = self.deep_fusion(ir_features.deep, vis_features.deep)
        if self.residual is not None:
            fused = self.residual(fused, ir_features.deep, vis_features.deep)
        decoded: Tensor = self.decoder(fused, ir_features, vis_features)
        if self.config.output == "gains":
            decoded = apply_gains(decoded, ir, vis)
        return decoded[:, :, :height, :width]

    def fold_temperatures(self) -> None:
        """Move learned temperatures into the query weights, for export; the output stays."""
        for module in self.modules():
            if isinstance(module, CrossAttentionModule):
                module.fold_temperatures()
        self.config = replace(self.config, temperature="none")

    def use_affine_head(self, gain: float, offset: float) -> None:
        """Replace the output head by fixed numbers, such as those of `affine_calibration`."""
        self.config = replace(self.config, head="affine", affine_gain=gain, affine_offset=offset)
        self.head = output_head(self.config).train(self.training)


def _light_block(config: CrossFuseConfig, channels: int) -> nn.Module:
    """The block that joins two maps of that many channels where the cam does not."""
    if config.fusion_block == "cnn":
        return CnnFusion(channels, borders=config.borders)
    if config.fusion_block == "cssa":
        return Cssa(kernel=config.cssa_kernel, threshold=config.cssa_threshold)
    return Gaff(
        channels,
        channels,
        reduction=config.gaff_reduction,
        shared=config.gaff_shared,
        bottleneck=config.gaff_bottleneck,
    )


def _deep_skip(config: CrossFuseConfig) -> nn.Module:
    return WeightedSkip(
        config.deep_channels,
        DeepShares(absolute=config.deep_weights == "absolute", inside=config.boxes_inside),
        gates=config.skip_gates,
        learned=config.learned_weights in ("deep", "both"),
    )


def _quarter_skip(config: CrossFuseConfig) -> nn.Module | None:
    channels, outputs = config.deep_channels, config.decoder_channels
    if config.multiscale:
        return LateralSkip(CrossAttentionModule(config), channels, outputs)
    if "3" in config.fusion_stages:
        return LateralSkip(_light_block(config, channels), channels, outputs)
    return None


def _half_skip(config: CrossFuseConfig) -> nn.Module | None:
    channels = config.half_channels
    if "2" in config.fusion_stages:
        return LateralSkip(_light_block(config, channels), channels, config.decoder_channels)
    return None


def _shallow_skip(config: CrossFuseConfig) -> nn.Module:
    if not config.has_shallow_skip:
        return BlockSkip(_light_block(config, config.shallow_channels))
    return WeightedSkip(
        config.shallow_channels,
        ShallowShares(inside=config.boxes_inside),
        gates=config.skip_gates,
        learned=config.learned_weights in ("shallow", "both"),
        ir_scale=config.shallow_ir_scale,
        vis_scale=config.shallow_vis_scale,
    )
