"""Small networks, pictures, and published-layout checkpoints for the tests of the networks."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from crossfuse_training.networks.crossfuse_config import CrossFuseConfig

StateDict = dict[str, Tensor]
Shapes = dict[str, tuple[int, ...]]
Overrides = dict[str, Any]

# Switches whose network starts as exactly the network without them.
NEUTRAL: dict[str, Overrides] = {
    "temperature-global": {"temperature": "global"},
    "temperature-per-head": {"temperature": "per_head"},
    "residual-gates": {"residual_gates": True},
    "skips-scalar": {"skip_gates": "scalar"},
    "skips-channel": {"skip_gates": "channel"},
    "skips-attention": {"skip_gates": "attention"},
    "weights-deep": {"learned_weights": "deep"},
    "weights-shallow": {"learned_weights": "shallow"},
    "weights-both": {"learned_weights": "both"},
    "multiscale": {"multiscale": True},
    "gaff-inner-levels": {"fusion_block": "gaff", "fusion_stages": "23"},
    "cssa-inner-levels": {"fusion_block": "cssa", "fusion_stages": "23"},
    "mean-input": {"mean_input": True},
}
# Switches that make another function of the same pictures from the start.
DIFFERENT: dict[str, Overrides] = {
    "zero-borders": {"borders": "zeros"},
    "pad-input": {"pad_input": True},
    "sparsemax": {"attention": "sparsemax"},
    "entmax15": {"attention": "entmax15"},
    "residual-full": {"residual_gates": True, "residual_base": 1.0},
    "overlap": {"tile": 8, "tile_overlap": 4},
    "tile-8": {"tile": 8},
    "patch-1": {"patch": 1, "tile": 16},
    "heads-2": {"heads": 2},
    "mlp-1": {"mlp_ratio": 1.0},
    "no-self-attention": {"self_layers": 0},
    "self-deeper": {"self_layers": 3},
    "no-cross-attention": {"cross_layers": 0},
    "cross-deeper": {"cross_layers": 2},
    "cnn": {"fusion_block": "cnn"},
    "gaff-deep": {"fusion_block": "gaff"},
    "gaff-shallow": {"fusion_block": "gaff", "fusion_stages": "1"},
    "gaff-everywhere": {
        "fusion_block": "gaff",
        "fusion_stages": "1234",
        "gaff_bottleneck": True,
        "gaff_shared": True,
    },
    "cssa-deep": {"fusion_block": "cssa"},
    "cssa-everywhere": {"fusion_block": "cssa", "fusion_stages": "1234"},
    "absolute-weights": {"deep_weights": "absolute"},
    "encoder-relu": {"encoder_activation": "relu"},
    "encoder-leaky": {"encoder_activation": "leaky_relu"},
    "encoder-gelu": {"encoder_activation": "gelu"},
    "decoder-relu": {"decoder_activation": "relu"},
    "bilinear": {"upsampling": "bilinear"},
    "norm-hidden": {"decoder_norm": "hidden"},
    "norm-none": {"decoder_norm": "none"},
    "bounded": {"head": "bounded"},
    "gains": {"output": "gains", "head": "bounded", "decoder_norm": "hidden"},
    "lift": {"lift": 0.6, "head": "bounded"},
    "affine": {"head": "affine", "affine_gain": 50.0, "affine_offset": 100.0},
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that asks for `neutral` or `switch` runs once for each of those switches."""
    for name, table in (("neutral", NEUTRAL), ("switch", NEUTRAL | DIFFERENT)):
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, list(table.values()), ids=list(table))


@pytest.fixture(autouse=True)
def _repeatable() -> Iterator[None]:
    """One thread and a fixed seed: runs are equal, and neighbours on the machine keep theirs."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny() -> CrossFuseConfig:
    """The published network with a few channels."""
    return CrossFuseConfig(
        shallow_channels=4,
        growth_channels=6,
        half_channels=8,
        deep_channels=8,
        decoder_channels=8,
        heads=4,
        mlp_ratio=2.0,
        gaff_reduction=1,
    )


@pytest.fixture
def picture() -> Callable[..., Tensor]:
    """Makes a picture of ramps and noise, float [B,1,H,W] in 0..255."""

    def make(height: int, width: int, *, batch: int = 1, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.rand(batch, 1, height, width, generator=generator)
        slope = 1 if seed % 2 else -1
        ramp = (
            torch.linspace(0, 150, width)[None, :] + slope * torch.linspace(0, 40, height)[:, None]
        )
        return (ramp + 25 + 65 * noise).clamp(0, 255)

    return make


def _autoencoder_shapes(config: CrossFuseConfig) -> Shapes:
    shallow, growth = config.shallow_channels, config.growth_channels
    deep, width = config.deep_channels, config.decoder_channels
    convs = {
        "fea_encoder1.conv1": (shallow, 1, 3, 3),
        "fea_encoder1.dense_blocks.0.dense_conv0": (growth, shallow, 3, 3),
        "fea_encoder1.dense_blocks.0.dense_conv1": (growth, shallow + growth, 3, 3),
        "fea_encoder1.dense_blocks.0.dense_conv2": (growth, shallow + 2 * growth, 3, 3),
        "fea_encoder1.dense_blocks.0.adjust_conv": (deep, shallow + 3 * growth, 3, 3),
        "fea_encoder1.dense_blocks.2.dense_conv0": (growth, deep, 3, 3),
        "fea_encoder1.dense_blocks.2.dense_conv1": (growth, deep + growth, 3, 3),
        "fea_encoder1.dense_blocks.2.dense_conv2": (growth, deep + 2 * growth, 3, 3),
        "fea_encoder1.dense_blocks.2.adjust_conv": (deep, deep + 3 * growth, 3, 3),
        "recon_decoder1.conv1": (width, deep, 3, 3),
        "recon_decoder1.conv_block.0": (width, width, 3, 3),
        "recon_decoder1.conv_block.2": (shallow, width, 3, 3),
        "recon_decoder1.conv_last": (1, shallow, 1, 1),
    }
    shapes: Shapes = {}
    for name, shape in convs.items():
        shapes[f"{name}.conv2d.0.weight"] = shape
        shapes[f"{name}.conv2d.0.bias"] = shape[:1]
    return shapes


def _fusion_shapes(config: CrossFuseConfig) -> Shapes:
    shallow, deep, width = config.shallow_channels, config.deep_channels, config.decoder_channels
    tokens, hidden = config.token_width, round(config.token_width * config.mlp_ratio)
    shapes: Shapes = {}
    for block in ("self_atten_block1", "self_atten_block2", "cross_atten_block"):
        kind = "cross_atten" if block == "cross_atten_block" else "self_atten"
        for number in (1, 2):
            module = f"cross_atten_block.{block}.{kind}{number}"
            linears: Shapes = {
                "attn.qkv": (3 * tokens, tokens),
                "attn.proj": (tokens, tokens),
                "mlp.fc1": (hidden, tokens),
                "mlp.fc2": (tokens, hidden),
            }
            if kind == "cross_atten":
                linears |= {f"attn.{part}_linear": (tokens, tokens) for part in "qkv"}
            for name, shape in linears.items():
                shapes[f"{module}.blocks.0.{name}.weight"] = shape
                shapes[f"{module}.blocks.0.{name}.bias"] = shape[:1]
            for norm in ("blocks.0.norm1", "blocks.0.norm2", "norm"):
                shapes[f"{module}.{norm}.weight"] = (tokens,)
                shapes[f"{module}.{norm}.bias"] = (tokens,)
    for name, shape in {
        "conv1": (width, deep, 3, 3),
        "conv_block.0": (width, width, 3, 3),
        "conv_block.2": (shallow, width, 3, 3),
        "conv_block.4": (shallow, shallow, 3, 3),
        "conv_last": (1, shallow, 1, 1),
    }.items():
        conv = f"decoder_fusion.{name}.conv2d"
        shapes[f"{conv}.0.weight"] = shape
        shapes[f"{conv}.0.bias"] = shape[:1]
        for vector in ("weight", "bias", "running_mean", "running_var"):
            shapes[f"{conv}.1.{vector}"] = shape[:1]
        shapes[f"{conv}.1.num_batches_tracked"] = ()
    shapes["decoder_fusion.weight.conv_sh.weight"] = (shallow, shallow, 3, 3)
    shapes["decoder_fusion.weight.conv_de.weight"] = (deep, deep, 3, 3)
    shapes["conv_gra.weight"] = (shallow, shallow, 3, 3)
    return shapes


def _fill(shapes: Shapes) -> StateDict:
    state: StateDict = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif "decoder_fusion.weight." in name:
            state[name] = torch.full(shape, 1 / 9)
        elif name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
            state[name] = 0.5 + torch.rand(shape)
        elif len(shape) == 1:
            state[name] = 0.1 * torch.randn(shape)
        else:
            state[name] = torch.randn(shape) / math.prod(shape[1:]) ** 0.5
    return state


@pytest.fixture
def published() -> Callable[..., dict[str, StateDict]]:
    """Makes random state dicts in the published layout: ir_encoder, vis_encoder and fusion.

    Deep features are pushed off zero, as trained ones are: the published shares divide by their
    sums, and around zero that amplifies rounding without bound.
    """

    def make(config: CrossFuseConfig) -> dict[str, StateDict]:
        states = {
            "ir_encoder": _fill(_autoencoder_shapes(config)),
            "vis_encoder": _fill(_autoencoder_shapes(config)),
            "fusion": _fill(_fusion_shapes(config)),
        }
        for name in ("ir_encoder", "vis_encoder"):
            states[name]["fea_encoder1.dense_blocks.2.adjust_conv.conv2d.0.bias"] += 3
        return states

    return make
