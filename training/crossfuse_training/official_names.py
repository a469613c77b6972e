"""The tensors of the published CrossFuse checkpoints, and what becomes of each in our network.

Three files: one auto-encoder for each modality (26 tensors) and the fusion network (134 tensors).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crossfuse_training.networks.crossfuse_config import CrossFuseConfig

BOX_WEIGHT = 1 / 9
"""What every weight of the two box filters must be; ours are computed without weights."""

_CROSS = "cross_atten_block.cross_atten_block"
_DIRECTIONS = {"cross_atten1": "ir_to_vis", "cross_atten2": "vis_to_ir"}
_MODALITIES = {"self_atten1": "ir", "self_atten2": "vis"}
_NORM_VECTORS = ("weight", "bias", "running_mean", "running_var")


@dataclass(frozen=True)
class Expected:
    """One tensor of a published file: its shape, and one of three fates."""

    shape: tuple[int, ...]
    target: str = ""
    """Name of the tensor that it fills."""
    dropped: str = ""
    """Why the network has no use for it."""
    constant: float | None = None
    """The value that every element must have; then it needs no keeping."""


Table = dict[str, Expected]


def autoencoder_tensors(config: CrossFuseConfig, encoder: str) -> Table:
    """The file of one modality, for the encoder of that name in our network."""
    shallow, growth, width = config.shallow_channels, config.growth_channels, config.deep_channels
    stem = "fea_encoder1.conv1.conv2d.0"
    table = _layer(stem, f"{encoder}.stem.conv", (shallow, 1, 3, 3))
    for index, ours, inputs in ((0, "half_block", shallow), (2, "quarter_block", width)):
        block = f"fea_encoder1.dense_blocks.{index}"
        for layer in range(config.dense_layers):
            shape = (growth, inputs + layer * growth, 3, 3)
            official = f"{block}.dense_conv{layer}.conv2d.0"
            table |= _layer(official, f"{encoder}.{ours}.dense.{layer}", shape)
        shape = (width, inputs + config.dense_layers * growth, 3, 3)
        table |= _layer(f"{block}.adjust_conv.conv2d.0", f"{encoder}.{ours}.adjust", shape)
    decoder = config.decoder_channels
    for name, shape in {
        "conv1": (decoder, width, 3, 3),
        "conv_block.0": (decoder, decoder, 3, 3),
        "conv_block.2": (shallow, decoder, 3, 3),
        "conv_last": (1, shallow, 1, 1),
    }.items():
        official = f"recon_decoder1.{name}.conv2d.0"
        table |= _layer(official, "", shape, dropped="rebuilds pictures in stage 1 only")
    return table


def fusion_tensors(config: CrossFuseConfig, extra: Mapping[str, tuple[int, ...]]) -> Table:
    """The file of the fusion network; `extra` are its temperatures, if it is a variant with any."""
    table: Table = {}
    for layer in range(config.self_layers):
        for official, ours in _MODALITIES.items():
            source = f"cross_atten_block.self_atten_block{layer + 1}.{official}"
            table |= _block(source, f"deep_fusion.self_layers.{layer}.{ours}", config)
            table |= _vectors(f"{source}.norm", "", config, dropped="is never applied")
            attention = f"deep_fusion.self_layers.{layer}.{ours}.attention.qkv"
            table |= _qkv(source, attention, config)
    for official, ours in _DIRECTIONS.items():
        source = f"{_CROSS}.{official}"
        target = f"deep_fusion.cross.{ours}.blocks.0"
        table |= _block(source, target, config)
        table |= _vectors(f"{source}.norm", f"deep_fusion.cross.{ours}.norm", config)
        table |= _qkv(source, "", config, dropped="cross-attention has three layers of its own")
        width = config.token_width
        for part, name in (("q", "query"), ("k", "key"), ("v", "value")):
            linear = f"{source}.blocks.0.attn.{part}_linear"
            table |= _layer(linear, f"{target}.attention.{name}", (width, width))
    for name, shape in extra.items():
        direction = _DIRECTIONS[name.removeprefix(f"{_CROSS}.").partition(".")[0]]
        target = f"deep_fusion.cross.{direction}.blocks.0.attention.temperature"
        table[name] = Expected(shape, target=target)
    return table | _decoder(config)


def temperature_names(kind: str) -> list[str]:
    """What enhanced repositories call their `global` or `per_head` temperatures."""
    suffix = {"global": "temperature", "per_head": "temperatures"}[kind]
    return [f"{_CROSS}.{direction}.blocks.0.attn.{suffix}" for direction in _DIRECTIONS]


def _decoder(config: CrossFuseConfig) -> Table:
    shallow, width, decoder = config.shallow_channels, config.deep_channels, config.decoder_channels
    table: Table = {}
    for official, ours, shape in (
        ("conv1", "at_eighth", (decoder, width, 3, 3)),
        ("conv_block.0", "at_quarter", (decoder, decoder, 3, 3)),
        ("conv_block.2", "at_half", (shallow, decoder, 3, 3)),
        ("conv_block.4", "at_full", (shallow, shallow, 3, 3)),
        ("conv_last", "last", (1, shallow, 1, 1)),
    ):
        last = ours == "last"
        conv = f"decoder.{ours}" if last else f"decoder.{ours}.conv"
        norm = "decoder.last_norm" if last else f"decoder.{ours}.norm"
        source = f"decoder_fusion.{official}.conv2d"
        table |= _layer(f"{source}.0", conv, shape)
        for vector in _NORM_VECTORS:
            table[f"{source}.1.{vector}"] = Expected(shape[:1], target=f"{norm}.{vector}")
        counter = "num_batches_tracked"
        table[f"{source}.1.{counter}"] = Expected((), target=f"{norm}.{counter}")
    for name, channels in (("conv_sh", shallow), ("conv_de", width)):
        shape = (channels, channels, 3, 3)
        table[f"decoder_fusion.weight.{name}.weight"] = Expected(shape, constant=BOX_WEIGHT)
    table["conv_gra.weight"] = Expected((shallow, shallow, 3, 3), dropped="is never used")
    return table


def _block(source: str, target: str, config: CrossFuseConfig) -> Table:
    """What self- and cross-attention blocks have in common."""
    width, hidden = config.token_width, round(config.token_width * config.mlp_ratio)
    block = f"{source}.blocks.0"
    table = _vectors(f"{block}.norm1", f"{target}.norm1", config)
    table |= _vectors(f"{block}.norm2", f"{target}.norm2", config)
    table |= _layer(f"{block}.attn.proj", f"{target}.attention.project", (width, width))
    table |= _layer(f"{block}.mlp.fc1", f"{target}.feed_forward.0", (hidden, width))
    table |= _layer(f"{block}.mlp.fc2", f"{target}.feed_forward.2", (width, hidden))
    return table


def _qkv(source: str, target: str, config: CrossFuseConfig, *, dropped: str = "") -> Table:
    shape = (3 * config.token_width, config.token_width)
    return _layer(f"{source}.blocks.0.attn.qkv", target, shape, dropped=dropped)


def _vectors(source: str, target: str, config: CrossFuseConfig, *, dropped: str = "") -> Table:
    names = ("weight", "bias")
    return {
        f"{source}.{name}": Expected(
            (config.token_width,), target=f"{target}.{name}" if target else "", dropped=dropped
        )
        for name in names
    }


def _layer(source: str, target: str, shape: tuple[int, ...], *, dropped: str = "") -> Table:
    """Weight and bias of a convolution or a linear layer."""
    shapes = {"weight": shape, "bias": shape[:1]}
    return {
        f"{source}.{name}": Expected(
            size, target=f"{target}.{name}" if target else "", dropped=dropped
        )
        for name, size in shapes.items()
    }
