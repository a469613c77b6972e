"""Every number and every switch of the CrossFuse family, with the rules that join them.

The defaults are the published network; each switch is off by default.
"""

from __future__ import annotations

from dataclasses import dataclass

from crossfuse_training.networks.config import (
    ACTIVATIONS,
    UPSAMPLINGS,
    AutoEncoderConfig,
)
from crossfuse_training.networks.fusion_block_config import FusionBlockConfig
from crossfuse_training.rules import require, require_name

NORMALISERS = ("softmax", "sparsemax", "entmax15")
TEMPERATURES = ("none", "global", "per_head")
SKIP_GATES = ("none", "scalar", "channel", "attention")
LEARNED_WEIGHTS = ("none", "deep", "shallow", "both")
DEEP_WEIGHTS = ("signed", "absolute")
DECODER_NORMS = ("batch", "hidden", "none")
OUTPUTS = ("direct", "gains")
HEADS = ("minmax", "bounded", "affine")


@dataclass(frozen=True)
class CrossFuseConfig(FusionBlockConfig):
    """The fusion network: two encoders, fusion blocks, a decoder with skips, an output head."""

    pad_input: bool = False
    """Extend pictures to multiples of 8 pixels below and to the right, and crop the result. The
    published way extends the decoder's maps on all sides, which moves them by up to 3 pixels."""

    tile: int = 32
    """Side of the attention tiles in deep positions (8 pixels each)."""
    tile_overlap: int = 0
    """Deep positions that neighbouring tiles share and blend; 0 leaves seams possible."""
    patch: int = 2
    """Side of a token in deep positions; the token width is deep_channels * patch * patch."""
    heads: int = 16
    mlp_ratio: float = 4.0
    self_layers: int = 2
    """Self-attention blocks of each modality, one after the other; 0 leaves them out."""
    cross_layers: int = 1
    """Cross-attention blocks of each direction; 0 adds the two modalities as they are."""
    attention: str = "softmax"
    """How cross-attention normalises its negated scores."""
    temperature: str = "none"
    """Learnable temperature of cross-attention: one for each direction, or for each head."""
    multiscale: bool = False
    """A second cam at 1/4 of the resolution, added to the decoder through a zero convolution."""
    residual_gates: bool = False
    """Deep fusion becomes b * (ir + vis) / 2 + s * block, b and s learned."""
    residual_base: float = 0.0
    """Value that b starts from; s starts from 1."""

    deep_weights: str = "signed"
    """Shares of the deep skip: of the signed local sums, or of their absolute values (bounded)."""
    boxes_inside: bool = False
    """Local sums at the border are of what lies inside; the published ones see zeros outside."""
    shallow_ir_scale: float = 0.5
    shallow_vis_scale: float = 1.0
    skip_gates: str = "none"
    """Learned factors on the skips: scalar, channel (both start at 1) or attention (2 sigmoid)."""
    learned_weights: str = "none"
    """Skips whose shares a small network corrects, starting from the computed ones."""

    decoder_channels: int = 64
    """Channels of the decoder at 1/8 and 1/4."""
    decoder_activation: str = "none"
    """After each decoder convolution but the last."""
    decoder_norm: str = "batch"
    """Batch normalisation after every decoder convolution, all but the last (hidden), or none."""
    upsampling: str = "nearest"
    output: str = "direct"
    """What the decoder's map is: direct, the picture, or gains, how much of each picture to take at
    every pixel and what to add, so that their detail reaches the result as it is."""

    head: str = "minmax"
    affine_gain: float = 63.75
    """With the affine head: grey levels for one unit of the decoder's output."""
    affine_offset: float = 127.5
    """With the affine head: grey level of a decoder output of 0."""

    lift: float = 0.0
    """Share by which local contrast is raised in the end, where there is light and little of it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_deep_fusion()
        self._check_attention()
        self._check_decoder()

    def _check_deep_fusion(self) -> None:
        require(
            self.residual_gates or self.residual_base == 0,
            "residual_base",
            self.residual_base,
            "0 unless residual_gates is on",
        )
        require(
            self.fusion_block == "cam" or not self.multiscale,
            "multiscale",
            self.multiscale,
            f"false with fusion_block={self.fusion_block}",
        )

    def _check_attention(self) -> None:
        require(self.patch >= 1, "patch", self.patch, "1 or more")
        require(
            self.tile >= 1 and self.tile % self.patch == 0,
            "tile",
            self.tile,
            f"a multiple of patch={self.patch}",
        )
        require(
            0 <= self.tile_overlap <= self.tile // 2 and self.tile_overlap % self.patch == 0,
            "tile_overlap",
            self.tile_overlap,
            f"a multiple of patch={self.patch} from 0 to {self.tile // 2}, half of the tile",
        )
        require(
            self.heads >= 1 and self.token_width % self.heads == 0,
            "heads",
            self.heads,
            f"a divisor of the token width {self.token_width}",
        )
        require(self.mlp_ratio > 0, "mlp_ratio", self.mlp_ratio, "above 0")
        require(self.self_layers >= 0, "self_layers", self.self_layers, "0 or more")
        require(self.cross_layers >= 0, "cross_layers", self.cross_layers, "0 or more")
        require_name("attention", self.attention, NORMALISERS)
        require_name("temperature", self.temperature, TEMPERATURES)
        has_cross_attention = self.has_deep_cam and self.cross_layers > 0
        for field, off in (("attention", "softmax"), ("temperature", "none")):
            require(
                has_cross_attention or getattr(self, field) == off,
                field,
                getattr(self, field),
                f"{off} in a network without cross-attention",
            )

    def _check_decoder(self) -> None:
        require_name("deep_weights", self.deep_weights, DEEP_WEIGHTS)
        require_name("skip_gates", self.skip_gates, SKIP_GATES)
        require_name("learned_weights", self.learned_weights, LEARNED_WEIGHTS)
        require(
            self.has_shallow_skip or self.learned_weights in ("none", "deep"),
            "learned_weights",
            self.learned_weights,
            f"none or deep when {self.fusion_block} replaces the shallow skip (stage 1)",
        )
        require(self.decoder_channels >= 1, "decoder_channels", self.decoder_channels, "1 or more")
        require_name("decoder_activation", self.decoder_activation, ACTIVATIONS)
        require_name("decoder_norm", self.decoder_norm, DECODER_NORMS)
        require_name("upsampling", self.upsampling, UPSAMPLINGS)
        require_name("output", self.output, OUTPUTS)
        require_name("head", self.head, HEADS)
        if self.output == "gains":
            require(self.head == "bounded", "head", self.head, "bounded with output=gains")
            require(
                self.decoder_norm != "batch",
                "decoder_norm",
                self.decoder_norm,
                "hidden or none with output=gains",
            )
        require(0 <= self.lift <= 1, "lift", self.lift, "0 to 1")
        for field, fixed in (("affine_gain", 63.75), ("affine_offset", 127.5)):
            require(
                self.head == "affine" or getattr(self, field) == fixed,
                field,
                getattr(self, field),
                f"{fixed} unless head=affine",
            )

    @property
    def token_width(self) -> int:
        """Width of a token of the deep attention."""
        return self.deep_channels * self.patch * self.patch

    @property
    def tracing_side(self) -> int:
        """Smallest side of an example picture that an exporter may trace with: two tiles each way.

        With one tile the tracer takes the number of tiles for a constant.
        """
        return 8 * (self.tile + 1)

    def autoencoder(self, *, output_scale: float = 255.0) -> AutoEncoderConfig:
        """The auto-encoder whose encoder fits this network, for stage 1."""
        return AutoEncoderConfig(
            shallow_channels=self.shallow_channels,
            growth_channels=self.growth_channels,
            dense_layers=self.dense_layers,
            half_channels=self.half_channels,
            deep_channels=self.deep_channels,
            encoder_activation=self.encoder_activation,
            borders=self.borders,
            mean_input=self.mean_input,
            decoder_channels=self.decoder_channels,
            decoder_activation=self.decoder_activation,
            upsampling=self.upsampling,
            output_scale=output_scale,
        )
