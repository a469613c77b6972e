"""fp16 models: every float in the file is half precision, except in the islands that need more.

The file states each type itself, so TensorRT 10 and 11 (strongly typed) and onnxruntime's CUDA
provider run exactly what is written; uint8 goes in and out as in the fp32 file.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from crossfuse_export.onnx_editing import copied, copied_node, replace_nodes

_FLOAT, _HALF = TensorProto.FLOAT, TensorProto.FLOAT16
_NAMES = {_FLOAT: "fp32", _HALF: "fp16"}


def to_fp16(model: onnx.ModelProto, islands: Collection[str]) -> onnx.ModelProto:
    """A copy of an fp32 model in half precision; the nodes named in `islands` stay single."""
    floats = float_tensors(model)
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    made: dict[str, int] = {}
    """Float tensors so far, and the type that they come in."""
    halves: dict[str, TensorProto] = {}
    nodes: list[onnx.NodeProto] = []
    for original in model.graph.node:
        node = copied_node(original)
        wanted = _FLOAT if node.name in islands else _HALF
        for place in _float_inputs(original, floats):
            name = original.input[place]
            if name in stored:
                if wanted == _HALF:
                    halves[name] = _as_half(stored[name])
                    node.input[place] = halves[name].name
            elif made[name] != wanted:
                node.input[place] = f"{name}.{_NAMES[wanted]}"
                if node.input[place] not in made:
                    made[node.input[place]] = wanted
                    nodes.append(_cast(name, node.input[place], wanted))
        outputs = [name for name in node.output if name in floats]
        made.update(dict.fromkeys(outputs, wanted))
        if outputs and node.op_type == "Cast":
            node.CopyFrom(helper.make_node("Cast", node.input, node.output, node.name, to=wanted))
        nodes.append(node)
    return _with_nodes(model, nodes, [*model.graph.initializer, *halves.values()])


def rounded_as_fp16(model: onnx.ModelProto, islands: Collection[str]) -> onnx.ModelProto:
    """An fp32 model in which all that `to_fp16` makes half is rounded to half and back.

    A CPU has no half-precision kernels: it runs the fp16 file in single precision and rounds
    where it sees fit. This model rounds after every operation, as a GPU stores its results; only
    the rounding inside an operation's sums differs from GPU to GPU.
    """
    floats = float_tensors(model)
    halves: dict[str, TensorProto] = {}
    nodes: list[onnx.NodeProto] = []
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    for original in model.graph.node:
        node = copied_node(original)
        nodes.append(node)
        if node.name in islands:
            continue
        for place in _float_inputs(original, floats):
            name = original.input[place]
            if name in stored:
                half = numpy_helper.to_array(_as_half(stored[name]))
                rounded = f"{name}.rounded"
                halves[name] = numpy_helper.from_array(half.astype(np.float32), rounded)
                node.input[place] = rounded
        for place, name in enumerate(node.output):
            if name in floats:
                node.output[place] = f"{name}.exact"
                nodes.append(_cast(f"{name}.exact", f"{name}.half", _HALF))
                nodes.append(_cast(f"{name}.half", name, _FLOAT))
    return _with_nodes(model, nodes, [*model.graph.initializer, *halves.values()])


def float_tensors(model: onnx.ModelProto) -> frozenset[str]:
    """Names of all single-precision tensors of a model, weights included."""
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    values = (*inferred.graph.value_info, *inferred.graph.input, *inferred.graph.output)
    names = {value.name for value in values if value.type.tensor_type.elem_type == _FLOAT}
    return frozenset(names | {t.name for t in model.graph.initializer if t.data_type == _FLOAT})


def _float_inputs(node: onnx.NodeProto, floats: Collection[str]) -> list[int]:
    """Places of the inputs whose type follows the node's; a Resize takes its scales as fp32."""
    places = range(len(node.input) if node.op_type != "Resize" else 1)
    return [place for place in places if node.input[place] in floats]


def _as_half(tensor: TensorProto) -> TensorProto:
    # Infinity stands for "none" in a few constants; a weight too large for fp16 becomes it, and
    # then every measurement fails.
    with np.errstate(over="ignore"):
        half = numpy_helper.to_array(tensor).astype(np.float16)
    return numpy_helper.from_array(half, f"{tensor.name}.fp16")


def _cast(source: str, target: str, kind: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [source], [target], f"{target}/cast", to=kind)


def _with_nodes(
    model: onnx.ModelProto, nodes: list[onnx.NodeProto], tensors: list[TensorProto]
) -> onnx.ModelProto:
    """A copy of the model with other nodes, and of these tensors those that the nodes use."""
    used = {name for node in nodes for name in node.input}
    result = copied(model)
    replace_nodes(result, nodes)
    result.graph.ClearField("value_info")
    result.graph.ClearField("initializer")
    result.graph.initializer.extend(tensor for tensor in tensors if tensor.name in used)
    return result
