"""What is folded and rounded before tracing: on a copy, and the pictures stay."""

from __future__ import annotations

import copy

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, numpy_helper
from torch import Tensor, nn

from crossfuse.errors import InvalidInput
from crossfuse_export.folding import HALF_STORED, folded
from crossfuse_export.half_weights import store_as_half
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.registry import build

TINY = {
    "shallow_channels": 4,
    "growth_channels": 4,
    "dense_layers": 1,
    "half_channels": 4,
    "deep_channels": 4,
    "decoder_channels": 4,
    "heads": 4,
    "mlp_ratio": 1.0,
    "self_layers": 1,
}


def pair() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    ir, vis = 255 * torch.rand(2, 1, 1, 40, 56, generator=generator)
    return ir, vis


@pytest.fixture
def network() -> CrossFuse:
    """With batch norms and temperatures far from where they start."""
    torch.manual_seed(0)
    tiny = CrossFuse(CrossFuseConfig(temperature="per_head", **TINY)).eval()  # type: ignore[arg-type]
    with torch.no_grad():
        for module in tiny.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_()  # type: ignore[union-attr]  # it keeps statistics
                module.running_var.uniform_(0.5, 2)  # type: ignore[union-attr]
                module.weight.uniform_(0.5, 2)
                module.bias.normal_()
        for name, parameter in tiny.named_parameters():
            if name.endswith("temperature.raw"):
                parameter.normal_()
    return tiny


def test_norms_and_temperatures_are_folded_on_a_copy(network: CrossFuse) -> None:
    before = copy.deepcopy(network.state_dict())
    with torch.no_grad():
        expected = network.decode(*pair())
        received = folded(network).decode(*pair())  # type: ignore[operator]  # it is a CrossFuse
    assert float((received - expected).abs().max()) < 1e-3 * float(expected.abs().max())
    assert float(expected.std()) > 0.1
    kinds = {type(module).__name__ for module in folded(network).modules()}
    assert not kinds & {"BatchNorm2d", "Temperature"}
    after = network.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_every_norm_is_found_in_every_block() -> None:
    for variant, options in (
        ("crossfuse", {**TINY, "fusion_block": "gaff", "gaff_bottleneck": True}),
        ("rt-plus", {"quarter_blocks": 1, "eighth_blocks": 1, "sixteenth_blocks": 1}),
    ):
        network = build(variant, **options)
        assert any(isinstance(module, nn.BatchNorm2d) for module in network.modules())
        assert not any(isinstance(m, nn.BatchNorm2d) for m in folded(network).modules())


def test_large_weights_are_rounded_to_half(student: nn.Module) -> None:
    rounded = dict(folded(student, weights="fp16").named_parameters())
    changed = 0
    for name, parameter in student.named_parameters():
        if parameter.numel() >= HALF_STORED:
            assert torch.equal(rounded[name], parameter.half().float())
            changed += not torch.equal(rounded[name], parameter)
        else:
            assert torch.equal(rounded[name], parameter)
    assert changed > 0


def test_a_weight_beyond_half_is_refused(student: nn.Module) -> None:
    large = copy.deepcopy(student)
    with torch.no_grad():
        large.get_parameter("quarter.weight")[0, 0, 0, 0] = 1e5
    with pytest.raises(InvalidInput, match=r"quarter\.weight: got values up to 100000; valid"):
        folded(large, weights="fp16")


def weights_model(values: np.ndarray) -> onnx.ModelProto:
    size = values.size
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["in", "weights"], ["out"], "sum")],
        "a test",
        [onnx.helper.make_tensor_value_info("in", TensorProto.FLOAT, [size])],
        [onnx.helper.make_tensor_value_info("out", TensorProto.FLOAT, [size])],
        [numpy_helper.from_array(values, "weights")],
    )
    return onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10
    )


def test_what_half_holds_is_stored_as_half_and_runs_alike() -> None:
    generator = np.random.default_rng(0)
    values = generator.normal(size=HALF_STORED).astype(np.float16).astype(np.float32)
    exact, half = weights_model(values), store_as_half(weights_model(values))
    assert [tensor.data_type for tensor in half.graph.initializer] == [TensorProto.FLOAT16]
    assert half.ByteSize() < 0.6 * exact.ByteSize()
    given = {"in": np.ones(HALF_STORED, np.float32)}
    first, second = (
        ort.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(
            None, given
        )[0]
        for m in (exact, half)
    )
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    "values",
    [
        np.full(HALF_STORED, 0.1, np.float32),
        np.full(HALF_STORED, 1e6, np.float32),
        np.full(HALF_STORED - 1, 0.5, np.float32),
    ],
    ids=["not exact", "too large", "small"],
)
def test_other_weights_stay(values: np.ndarray) -> None:
    (stored,) = store_as_half(weights_model(values)).graph.initializer
    assert np.array_equal(numpy_helper.to_array(stored), values)
