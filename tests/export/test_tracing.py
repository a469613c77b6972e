"""Every architecture and switch becomes one graph for every size that both runtimes run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto
from torch import Tensor, nn

from crossfuse import synthetic
from crossfuse.errors import InvalidInput
from crossfuse_export.fp32_islands import choose_islands
from crossfuse_export.onnx_files import parse_onnx
from crossfuse_export.parity import compare
from crossfuse_export.precision_fp16 import to_fp16
from crossfuse_export.quality import check_batches, expectations, measure, onnx_runner
from crossfuse_export.reference import Reference
from crossfuse_export.tracing import check_takes_a_pair, module_of, to_onnx
from crossfuse_training.fusion_graph import FusionGraph
from crossfuse_training.networks.cnn_fusion import CnnFusion
from crossfuse_training.networks.config import AutoEncoderConfig
from crossfuse_training.networks.cssa import Cssa
from crossfuse_training.networks.gaff import Gaff
from crossfuse_training.networks.heads import ClampedHead
from crossfuse_training.networks.normalisers import Normaliser
from crossfuse_training.networks.reconstruction_decoder import AutoEncoder
from crossfuse_training.networks.registry import build
from crossfuse_training.networks.skip_gates import skip_gate
from crossfuse_training.networks.skips import DeepShares, WeightedSkip

SIZES = ((33, 47), (72, 136))
LIVE_OF_THE_PUBLISHED_NETWORK = 21_305_827
CONSTANTS_OF_THE_PUBLISHED_NETWORK = 16
"""12 numbers (luma, scales, epsilons, limits), and the 4 that enlarging a map takes."""


def shaken(network: nn.Module) -> nn.Module:
    """In evaluation mode, every parameter and statistic off the value it starts from."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(generator=generator)  # type: ignore[union-attr]
                module.running_var.uniform_(0.5, 2, generator=generator)  # type: ignore[union-attr]
    return network.eval()


def cross_attention() -> nn.Module:
    """What the tiles, the attention and the decoder can be switched to, at a few channels."""
    return build(
        "crossfuse",
        shallow_channels=4, growth_channels=4, dense_layers=1, half_channels=4, deep_channels=4,
        decoder_channels=4, heads=2, mlp_ratio=1.0, self_layers=1,
        tile=8, tile_overlap=4, patch=1, borders="zeros", pad_input=True,
        attention="sparsemax", temperature="per_head",
        fusion_block="gaff", fusion_stages="3", gaff_reduction=1,
        residual_gates=True, residual_base=0.5, skip_gates="channel", learned_weights="both",
        deep_weights="absolute", encoder_activation="leaky_relu", decoder_activation="gelu",
        decoder_norm="hidden", upsampling="bilinear", head="bounded",
    )  # fmt: skip


def larger_student() -> nn.Module:
    return build(
        "rt-plus",
        half_channels=4, quarter_channels=4, eighth_channels=4, sixteenth_channels=4,
        quarter_blocks=1, eighth_blocks=1, sixteenth_blocks=1, expansion=2, head_width=2,
    )  # fmt: skip


class LightBlocks(nn.Module):
    """Every block that can stand for cross-attention, the gates and what has no place above."""

    @dataclass(frozen=True)
    class Config:
        """It has no numbers; a network has a configuration."""

    config = Config()

    def __init__(self) -> None:
        super().__init__()
        self.ir = nn.Conv2d(1, 4, 3, padding=1)
        self.vis = nn.Conv2d(1, 4, 3, padding=1)
        self.shared = Gaff(4, 4, reduction=1, shared=True, bottleneck=True)
        self.separate = Gaff(4, 4, reduction=1)
        self.cnn = CnnFusion(4, borders="reflect")
        self.cssa = Cssa(kernel=3, threshold=0.5)
        self.normalise = Normaliser("entmax15")
        self.skip = WeightedSkip(
            4, DeepShares(absolute=True, inside=True), gates="attention", learned=False
        )
        self.scalar = skip_gate("scalar", 4, 0.5)
        self.last = nn.Conv2d(4, 1, 1)
        self.head = ClampedHead(30.0, 127.5)

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        first, second = self.ir(ir / 255), self.vis(vis / 255)
        joined = self.shared(first, second) + self.separate(first, second)
        joined = joined + self.scalar(self.cnn(first, second), joined) + self.cssa(first, second)
        joined = joined + self.normalise(joined.transpose(1, 3)).transpose(1, 3)
        fused: Tensor = self.head(self.last(self.skip(joined, first, second)))
        return fused


@pytest.mark.parametrize("make", [cross_attention, larger_student, LightBlocks])
def test_every_block_and_switch(make: Callable[[], nn.Module]) -> None:
    """fp32 and fp16, every size in one file, alone and in a batch."""
    torch.manual_seed(0)
    network = shaken(make())
    graph = FusionGraph(network).eval()
    model = to_onnx(graph)
    parse_onnx(model.SerializeToString(), "fp32")
    expected = expectations(network, SIZES)
    assert max(float(case.fused.std()) for case in expected) > 5
    run = onnx_runner(model.SerializeToString())
    check_batches(expected, run)
    assert measure(expected, run, "fp32").max_abs <= 1

    choice = choose_islands(graph, model, lambda c: measure(expected, onnx_runner(c), "fp16"))
    half = to_fp16(model, choice.nodes).SerializeToString()
    parse_onnx(half, "fp16")
    assert measure(expected, onnx_runner(half), "fp16").max_abs <= 4


def test_the_published_network_at_full_width() -> None:
    """Every live weight is in the file, once, and next to nothing else; it computes the same.

    Of the live numbers two for each normalised channel are folded into the convolution before it.
    """
    network = shaken(build("crossfuse"))
    for name, values in network.state_dict().items():
        if name.endswith("quarter_block.adjust.bias"):
            # Trained features are off zero, around which the published shares amplify rounding.
            values += 3
    model = to_onnx(FusionGraph(network))
    live = sum(parameter.numel() for parameter in network.parameters())
    assert live == LIVE_OF_THE_PUBLISHED_NETWORK
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    folded_away = sum(2 * norm.num_features for norm in norms)
    assert folded_away == 2 * (64 + 64 + 32 + 32 + 1)
    elements = sum(
        math.prod(tensor.dims)
        for tensor in model.graph.initializer
        if tensor.data_type == TensorProto.FLOAT
    )
    assert elements == live - folded_away + CONSTANTS_OF_THE_PUBLISHED_NETWORK
    used = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= used
    reference, run = Reference(network).run, onnx_runner(model.SerializeToString())
    for height, width in SIZES:
        ir, vis = (image[None] for image in synthetic.pair(1, height, width))
        expected = reference(ir, vis)
        assert expected.std() > 5
        assert compare(run(ir, vis)[0], expected[0]).max_abs <= 1


def test_graph_contract(student_model: onnx.ModelProto) -> None:
    session = ort.InferenceSession(
        student_model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    described = {
        value.name: (value.type, value.shape)
        for value in (*session.get_inputs(), *session.get_outputs())
    }
    assert described == {
        "ir": ("tensor(uint8)", ["batch", "height", "width"]),
        "vis": ("tensor(uint8)", ["batch", "height", "width", 3]),
        "fused": ("tensor(uint8)", ["batch", "height", "width", 3]),
    }


def test_nodes_are_named_after_their_modules(student: nn.Module, student_model: Any) -> None:
    modules = {name for name, _ in FusionGraph(student).named_modules()}
    found = {module_of(node) for node in student_model.graph.node} - {None}
    assert found <= modules
    assert {"", "network", "network.quarter", "network.offset"} <= found
    names = [node.name for node in student_model.graph.node]
    assert len(set(names)) == len(names)


def test_no_trace_of_the_machine(student_model: onnx.ModelProto) -> None:
    content = student_model.SerializeToString()
    assert str(Path(torch.__file__).parents[1]).encode() not in content
    assert str(Path(__file__).parents[2]).encode() not in content


def test_a_network_that_does_not_fuse_is_refused() -> None:
    network = AutoEncoder(AutoEncoderConfig(shallow_channels=2, growth_channels=2))
    with pytest.raises(InvalidInput, match="got AutoEncoder, which takes image; valid: a network"):
        check_takes_a_pair(network)
