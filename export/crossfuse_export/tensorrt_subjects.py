"""What the TensorRT builder is tried on: shipped bundles, and every network at a few channels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from crossfuse import synthetic
from crossfuse.bundles import installed_bundles
from crossfuse_export.calibration import Calibration, Pair
from crossfuse_export.fp32_islands import ALWAYS, island_nodes
from crossfuse_export.precision_fp16 import to_fp16
from crossfuse_export.precision_int8 import end_convolutions, to_int8
from crossfuse_export.tracing import to_onnx
from crossfuse_training.fusion_graph import FusionGraph
from crossfuse_training.networks.registry import VARIANTS, build

SEED = 0
_TINY = {
    "shallow_channels": 4, "growth_channels": 4, "dense_layers": 1, "half_channels": 4,
    "deep_channels": 4, "decoder_channels": 4, "heads": 2, "mlp_ratio": 1.0,
    "quarter_channels": 4, "eighth_channels": 4, "sixteenth_channels": 4, "sixteenth_layers": 1,
    "quarter_blocks": 1, "eighth_blocks": 1, "sixteenth_blocks": 1, "expansion": 2,
    "head_width": 2, "excite_reduction": 2,
}  # fmt: skip
"""Of these, each network takes the numbers that it has."""


@dataclass(frozen=True)
class Subject:
    """An ONNX file to build."""

    name: str
    precision: str
    content: bytes
    find_need: bool
    """Whether the least workspace is looked for, which takes several builds."""


class FewPairs(Calibration):
    """Two small scenes: enough for ranges that nobody measures."""

    def __iter__(self) -> Iterator[Pair]:
        yield from (synthetic.pair(seed, 64, 72) for seed in (1, 2))


def shipped() -> Iterator[Subject]:
    """Every file of every bundle on the search path."""
    for bundle in installed_bundles()[0]:
        for precision in bundle.manifest.files:
            yield Subject(
                bundle.reference, precision, bundle.file(precision).read(), find_need=True
            )


def tiny() -> Iterator[Subject]:
    """Every named network at a few channels with fresh weights, in every precision."""
    for name, variant in VARIANTS.items():
        known = {field.name for field in fields(variant.config)}
        torch.manual_seed(SEED)
        network = build(name, **{key: _TINY[key] for key in known & _TINY.keys()}).eval()
        for precision, content in _precisions(network).items():
            yield Subject(f"{name}, tiny", precision, content, find_need=False)


def full_width(name: str) -> Iterator[Subject]:
    """One named network as wide as it is, with fresh weights, in fp32 and fp16."""
    torch.manual_seed(SEED)
    contents = _precisions(build(name).eval(), int8=False)
    for precision, content in contents.items():
        yield Subject(f"{name}, full width", precision, content, find_need=True)


def _precisions(network: nn.Module, *, int8: bool = True) -> dict[str, bytes]:
    graph = FusionGraph(network)
    model = to_onnx(graph)
    single = frozenset[str]().union(*(island_nodes(island, graph, model) for island in ALWAYS))
    made = {"fp32": model, "fp16": to_fp16(model, single)}
    if int8:
        made["int8"] = to_int8(model, FewPairs("two small scenes", ()), end_convolutions(model))
    return {precision: file.SerializeToString() for precision, file in made.items()}


def broken() -> bytes:
    """A graph that turns bytes before it casts them, which TensorRT does not take."""
    size = ["batch", "height", "width"]
    nodes = [
        helper.make_node("Transpose", ["vis"], ["turned"], "turn", perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["turned"], ["single"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["single"], ["back"], perm=[0, 2, 3, 1]),
        helper.make_node("Cast", ["ir"], ["ir_single"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["ir_single", "last"], ["wide"]),
        helper.make_node("Add", ["back", "wide"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["fused"], to=TensorProto.UINT8),
    ]
    graph = helper.make_graph(
        nodes,
        "broken",
        [
            helper.make_tensor_value_info("ir", TensorProto.UINT8, size),
            helper.make_tensor_value_info("vis", TensorProto.UINT8, [*size, 3]),
        ],
        [helper.make_tensor_value_info("fused", TensorProto.UINT8, [*size, 3])],
        [numpy_helper.from_array(np.array([3], np.int64), "last")],
    )
    model: onnx.ModelProto = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10
    )
    return model.SerializeToString()
