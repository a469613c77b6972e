"""Named networks of the CrossFuse family, every number spelt out.

Parameters, and work at 480x640 (two operations for each multiply-accumulate):

    name         parameters   GFLOP
    crossfuse    21,305,827   257.8
    base          5,238,603    53.9
    base-wide    11,984,427   139.4
"""

from __future__ import annotations

from dataclasses import replace

from crossfuse_training.networks.crossfuse_config import CrossFuseConfig

PUBLISHED = CrossFuseConfig(
    shallow_channels=32,
    growth_channels=64,
    dense_layers=3,
    half_channels=128,
    deep_channels=128,
    encoder_activation="none",
    borders="reflect",
    mean_input=False,
    pad_input=False,
    fusion_block="cam",
    fusion_stages="4",
    gaff_reduction=4,
    gaff_shared=False,
    gaff_bottleneck=False,
    cssa_kernel=3,
    cssa_threshold=0.5,
    tile=32,
    tile_overlap=0,
    patch=2,
    heads=16,
    mlp_ratio=4.0,
    self_layers=2,
    cross_layers=1,
    attention="softmax",
    temperature="none",
    multiscale=False,
    residual_gates=False,
    residual_base=0.0,
    deep_weights="signed",
    shallow_ir_scale=0.5,
    shallow_vis_scale=1.0,
    skip_gates="none",
    learned_weights="none",
    decoder_channels=64,
    decoder_activation="none",
    decoder_norm="batch",
    upsampling="nearest",
    output="direct",
    head="minmax",
    affine_gain=63.75,
    affine_offset=127.5,
    lift=0.0,
)

# What the published network loses time, detail or safety on, changed: 70 % of its work is in
# encoders that are linear but for their max pools; a 3x3 convolution of one channel fills no 32
# channels; shares of signed sums have no bound; the output follows the picture's own extremes; and
# what is drawn anew from features is softer than the pictures themselves.
_OURS = replace(
    PUBLISHED,
    shallow_channels=16,
    encoder_activation="leaky_relu",
    borders="reflect",
    mean_input=True,
    pad_input=True,
    tile_overlap=4,
    temperature="per_head",
    deep_weights="absolute",
    boxes_inside=True,
    shallow_ir_scale=1.0,
    skip_gates="channel",
    decoder_activation="leaky_relu",
    decoder_norm="hidden",
    output="gains",
    head="bounded",
)

CROSSFUSE_VARIANTS = {
    "crossfuse": PUBLISHED,
    # Narrow throughout: five times the speed of the published network on a CPU leaves 60 GFLOP.
    # A tile of 16 is filled by a training cut of 128 pixels; one of 32 would be three parts border.
    "base": replace(
        _OURS,
        growth_channels=24,
        half_channels=48,
        deep_channels=96,
        tile=16,
        tile_overlap=2,
        heads=12,
        self_layers=1,
        mlp_ratio=2.0,
        decoder_channels=48,
        lift=0.75,
    ),
    # The most of the work in the encoders; where speed matters less.
    "base-wide": replace(_OURS, growth_channels=48, half_channels=96, deep_channels=96, heads=12),
}
