"""From a network to one ONNX graph for every size, simplified, named and checked."""

from __future__ import annotations

import ast
import inspect
import logging
import warnings
from collections import Counter
from typing import Any

import onnx
import onnxslim
import torch
from torch import nn
from torch.export import Dim

from crossfuse.bundles import GRAPH_INPUTS, GRAPH_OUTPUTS
from crossfuse.errors import InvalidInput
from crossfuse_export.folding import folded
from crossfuse_export.onnx_editing import drop_notes, replace_nodes
from crossfuse_export.operators import check_operators
from crossfuse_export.quiet import only_errors
from crossfuse_training.fusion_graph import FusionGraph

OPSET = 20
MINIMUM_SIZE = 32
LARGEST_SIZE = 16384
_TRACING_SIDE = 64
"""Side of the example picture for networks that state none of their own."""
_SCOPES = "pkg.torch.onnx.name_scopes"


def check_takes_a_pair(network: nn.Module) -> None:
    """Refuse a network that does not fuse, such as the auto-encoder of training's first stage."""
    takes = list(inspect.signature(network.forward).parameters)
    if takes != ["ir", "vis"]:
        raise InvalidInput(
            "architecture",
            f"{type(network).__name__}, which takes {' and '.join(takes)}",
            "a network that takes ir and vis and gives the fused picture",
        )


def to_onnx(graph: FusionGraph, *, weights: str = "fp32") -> onnx.ModelProto:
    """The fp32 ONNX model of a graph in evaluation mode; batch, height and width are dynamic.

    The graph stays as it is: norms and temperatures are folded on a copy. A node is named after
    the module that it comes from. With weights "fp16" large weights are rounded to what fp16 holds.
    """
    check_takes_a_pair(graph.network)
    config: Any = graph.network.config
    side = getattr(config, "tracing_side", _TRACING_SIDE)
    batch = Dim("batch")
    rows, columns = (Dim(name, min=MINIMUM_SIZE, max=LARGEST_SIZE) for name in ("height", "width"))
    sizes = {0: batch, 1: rows, 2: columns}
    example = (
        torch.zeros(2, side, side + 8, dtype=torch.uint8),
        torch.zeros(2, side, side + 8, 3, dtype=torch.uint8),
    )
    # Its log reports every optional package that is absent.
    quiet = only_errors(logging.getLogger("torch.onnx"))
    with torch.no_grad(), quiet, warnings.catch_warnings():
        # Both are about the exporter's own insides: a call it makes, and names given twice.
        warnings.filterwarnings("ignore", message=r".*LeafSpec", category=FutureWarning)
        warnings.filterwarnings("ignore", message=r".*axis name", category=UserWarning)
        program = torch.onnx.export(
            FusionGraph(folded(graph.network, weights=weights)).eval(),
            example,
            dynamo=True,
            dynamic_shapes={"ir": sizes, "vis": sizes},
            opset_version=OPSET,
            input_names=["ir", "vis"],
            output_names=["fused"],
            verbose=False,
        )
    assert program is not None
    traced = program.model_proto
    _name_by_module(traced)
    model: onnx.ModelProto = onnxslim.slim(traced)
    _tidy(model)
    onnx.checker.check_model(model, full_check=True)
    check_operators(model, "exported graph")
    return model


def module_of(node: onnx.NodeProto) -> str | None:
    """Dotted path of the module in the graph that a node comes from; "" is the graph itself.

    None where the node is arithmetic on sizes, or the simplifier made it.
    """
    path, slash, _ = node.name.rpartition("/")
    return path.removeprefix(".") if slash else None


def _name_by_module(model: onnx.ModelProto) -> None:
    """Rename every node MODULE/OPERATION; the simplifier drops the notes that say so."""
    taken: Counter[str] = Counter()
    for node in model.graph.node:
        notes = {entry.key: entry.value for entry in node.metadata_props}
        scopes = ast.literal_eval(notes.get(_SCOPES, "[]"))
        if not scopes or scopes[0]:
            continue
        # The graph's own scope is empty; a dot keeps its nodes apart from those without one.
        name = f"{scopes[-2] or '.'}/{scopes[-1]}"
        taken[name] += 1
        node.name = name if taken[name] == 1 else f"{name}.{taken[name]}"


def _tidy(model: onnx.ModelProto) -> None:
    """Name the output's sizes, which the exporter writes as formulas, as the inputs' are."""
    for tensor in GRAPH_OUTPUTS:
        (value,) = (output for output in model.graph.output if output.name == tensor.name)
        for dimension, size in zip(value.type.tensor_type.shape.dim, tensor.shape, strict=True):
            if isinstance(size, str):
                dimension.dim_param = size
    _cast_first(model)
    # Among them formulas of sizes, which differ from run to run.
    drop_notes(model)


def _cast_first(model: onnx.ModelProto) -> None:
    """Let everything that asks for an input's shape ask its cast: TensorRT casts uint8, no more."""
    names = {tensor.name for tensor in GRAPH_INPUTS}
    nodes = list(model.graph.node)
    casts = {
        node.input[0]: node for node in nodes if node.op_type == "Cast" and node.input[0] in names
    }
    others = [node for node in nodes if all(node is not cast for cast in casts.values())]
    for node in others:
        node.input[:] = [casts[name].output[0] if name in casts else name for name in node.input]
    replace_nodes(model, [*casts.values(), *others])
