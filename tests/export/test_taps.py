"""Broken graphs are caught, and the part that is broken is named."""

from __future__ import annotations

import copy
import io
import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from crossfuse import synthetic
from crossfuse_export.parity import compare, judge
from crossfuse_export.pictures import Picture, pictures_of
from crossfuse_export.reference import Reference
from crossfuse_export.taps import ExposedModel, compare_taps, first_difference, not_finite
from crossfuse_training.fusion_graph import FusionGraph
from crossfuse_training.networks.attention import CrossBlock
from crossfuse_training.networks.cross_attention import CrossAttentionModule
from crossfuse_training.networks.registry import build
from crossfuse_training.networks.tiling import Tiling

TINY = {
    "shallow_channels": 4,
    "growth_channels": 6,
    "half_channels": 8,
    "deep_channels": 8,
    "decoder_channels": 8,
    "heads": 4,
    "mlp_ratio": 2.0,
    "dense_layers": 1,
}
SIZE = (264, 272)
"""Four attention tiles, three of them filled up: what the taps look at."""


@pytest.fixture
def network() -> nn.Module:
    """The published network, tiny; its deep features are off zero, as trained ones are."""
    torch.manual_seed(0)
    tiny = build("crossfuse", **TINY).eval()
    for name, values in tiny.state_dict().items():
        if name.endswith("quarter_block.adjust.bias"):
            values += 3
    return tiny


def exported(network: nn.Module) -> onnx.ModelProto:
    """For one size only, by the old exporter of PyTorch: it takes a twentieth of the time."""
    file = io.BytesIO()
    example = (torch.zeros(1, *SIZE, dtype=torch.uint8), torch.zeros(1, *SIZE, 3).byte())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            FusionGraph(network).eval(), example, file,  # type: ignore[arg-type]  # a file is fine
            dynamo=False, opset_version=20,
            input_names=["ir", "vis"], output_names=["fused"],
        )  # fmt: skip
    return onnx.ModelProto.FromString(file.getvalue())


def is_caught(network: nn.Module, model: onnx.ModelProto) -> bool:
    """Whether the fused pictures miss the bar of fp32."""
    picture = Picture("scene", "synthetic", *synthetic.pair(1, *SIZE))
    expected, spread = Reference(network).fuse(picture)
    received = ExposedModel(model).run(picture.ir[None], picture.vis[None])["fused"][0]
    return bool(judge("fp32", picture.kind, spread, compare(received, expected))[0])


def swapped(network: nn.Module, first: str, second: str) -> nn.Module:
    """A copy with two of its parameters exchanged."""
    other = copy.deepcopy(network)
    state = network.state_dict()
    other.load_state_dict({**state, first: state[second], second: state[first]})
    return other


def test_a_right_graph_has_every_part(network: nn.Module) -> None:
    model = exported(network)
    taps = compare_taps(network, model)
    assert [tap for tap in taps if tap.jumps] == []
    assert first_difference(taps) is None
    assert not is_caught(network, model)
    assert list(dict.fromkeys(tap.part for tap in taps)) == [
        "shallow features", "deep features", "self-attention", "cross-attention", "decoder",
        "output head",
    ]  # fmt: skip


def test_residual_on_the_wrong_branch(network: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    def forward(block: CrossBlock, other: Tensor, own: Tensor) -> Tensor:
        mixed = other + block.attention(block.norm1(other), block.norm1(own))
        result: Tensor = mixed + block.feed_forward(block.norm2(mixed))
        return result

    with monkeypatch.context() as patch:
        patch.setattr(CrossBlock, "forward", forward)
        model = exported(network)
    assert is_caught(network, model)
    found = first_difference(compare_taps(network, model))
    assert found is not None
    assert (found.part, found.module) == ("cross-attention", "deep_fusion.cross")


def test_tiles_of_another_size(network: nn.Module) -> None:
    attention = network.get_submodule("deep_fusion")
    assert isinstance(attention, CrossAttentionModule)
    right = attention.tiling
    attention.tiling = Tiling(2, 0)
    model = exported(network)
    attention.tiling = right
    assert is_caught(network, model)
    found = first_difference(compare_taps(network, model))
    assert found is not None
    assert (found.part, found.module) == ("self-attention", "deep_fusion.self_layers.0.ir")


@pytest.mark.parametrize(
    ("weights", "part", "module"),
    [
        (
            ("ir_encoder.stem.conv.weight", "vis_encoder.stem.conv.weight"),
            "shallow features",
            "ir_encoder.shallow",
        ),
        (
            ("vis_encoder.quarter_block.adjust.bias", "vis_encoder.half_block.adjust.bias"),
            "deep features",
            "vis_encoder.half",
        ),
        (
            (
                "deep_fusion.self_layers.1.ir.feed_forward.0.bias",
                "deep_fusion.self_layers.1.vis.feed_forward.0.bias",
            ),
            "self-attention",
            "deep_fusion.self_layers.1.ir",
        ),
        (
            (
                "deep_fusion.cross.ir_to_vis.blocks.0.attention.key.bias",
                "deep_fusion.cross.ir_to_vis.blocks.0.attention.value.bias",
            ),
            "cross-attention",
            "deep_fusion.cross",
        ),
        (
            ("decoder.at_eighth.conv.weight", "decoder.at_quarter.conv.weight"),
            "decoder",
            "decoder",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "." not in value else "",
)
def test_a_swapped_weight(
    network: nn.Module, weights: tuple[str, str], part: str, module: str
) -> None:
    with torch.no_grad():
        for name in weights:
            # A fresh bias is too small to matter.
            network.get_parameter(name).normal_()
    model = exported(swapped(network, *weights))
    assert is_caught(network, model)
    found = first_difference(compare_taps(network, model))
    assert found is not None
    assert (found.part, found.module) == (part, module)


def test_another_output_head(network: nn.Module) -> None:
    other = build("crossfuse", **TINY, head="bounded").eval()
    other.load_state_dict(network.state_dict())
    found = first_difference(compare_taps(network, exported(other)))
    assert found is not None
    assert (found.part, found.module) == ("output head", "head")


def test_infinities_inside_are_found_though_the_picture_hides_them(network: nn.Module) -> None:
    pictures = pictures_of(*SIZE, ())
    model = exported(network)
    assert not_finite(model, pictures[:1]) == []
    for tensor in model.graph.initializer:
        if tensor.name.endswith("ir_encoder.stem.conv.bias"):
            hot = np.full(tensor.dims, np.inf, np.float32)
            tensor.CopyFrom(numpy_helper.from_array(hot, tensor.name))
    (found,) = not_finite(model, pictures[:1])
    assert found.startswith("scene 1: ")
