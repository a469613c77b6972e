"""The operators an exported graph may hold: what onnxruntime and TensorRT both run.

The set is what TensorRT's ONNX parser and onnxruntime's CPU and CUDA providers have in common, less
what they run badly or differently: loops, branches, sequences and scatters (a tile loop that the
tracer unrolled, a shape that was decided in Python), and what is gone once a network is trained
(Dropout, Identity, BatchNormalization). A new operator is a decision, not an accident.
"""

from __future__ import annotations

import onnx
from onnx import TensorProto, helper

from crossfuse.errors import BundleError

ALLOWED_OPERATORS = frozenset(
    {
        # Layers.
        "AveragePool", "Conv", "ConvTranspose", "Gemm", "GlobalAveragePool", "GlobalMaxPool",
        "LayerNormalization", "MatMul", "MaxPool", "Resize",
        # Activations.
        "Clip", "Elu", "Erf", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "PRelu", "Relu",
        "Sigmoid", "Softmax", "Softplus", "Tanh",
        # Arithmetic, element by element.
        "Abs", "Add", "Ceil", "Div", "Exp", "Floor", "Log", "Max", "Min", "Mod", "Mul", "Neg",
        "Pow", "Reciprocal", "Round", "Sign", "Sqrt", "Sub",
        # Comparisons and choices.
        "And", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or", "Where",
        # Reductions and order.
        "CumSum", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "TopK",
        # Layout and indices.
        "Concat", "ConstantOfShape", "DepthToSpace", "Expand", "Flatten", "Gather",
        "GatherElements", "Pad", "Range", "Reshape", "Shape", "Slice", "SpaceToDepth", "Split",
        "Squeeze", "Tile", "Transpose", "Unsqueeze",
        # Types and quantisation.
        "Cast", "DequantizeLinear", "QuantizeLinear",
    }
)  # fmt: skip
DOMAINS = ("", "ai.onnx")


def check_operators(model: onnx.ModelProto, source: str) -> None:
    """Refuse a graph with an operator outside the list, or bytes that go elsewhere than a cast.

    TensorRT takes uint8 at the inputs and outputs only, with a Cast as the next operator.
    """
    uint8 = {
        value.name
        for value in model.graph.input
        if value.type.tensor_type.elem_type == TensorProto.UINT8
    }
    for node in model.graph.node:
        where = f"{source}: node {node.name or node.output[0]!r}"
        if node.domain not in DOMAINS:
            raise BundleError(
                f"{where}: got the custom operator {node.domain}.{node.op_type}; valid: operators "
                "of ONNX itself, which every runtime has"
            )
        if node.op_type not in ALLOWED_OPERATORS:
            raise BundleError(
                f"{where}: got the operator {node.op_type}; valid, as both onnxruntime and "
                f"TensorRT run them: {', '.join(sorted(ALLOWED_OPERATORS))}"
            )
        if node.op_type == "Cast":
            if _target(node) == TensorProto.UINT8:
                uint8.update(node.output)
            continue
        taken = uint8.intersection(node.input)
        if taken:
            raise BundleError(
                f"{where}: got uint8 ({min(taken)}) into {node.op_type}; valid: into Cast alone, "
                "because TensorRT takes bytes nowhere else"
            )


def _target(cast: onnx.NodeProto) -> int:
    (to,) = (helper.get_attribute_value(value) for value in cast.attribute if value.name == "to")
    return int(to)
