"""fp32 models whose weights lie in the file as fp16: half the size, the same numbers."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from crossfuse_export.folding import HALF_STORED
from crossfuse_export.onnx_editing import copied, replace_nodes


def store_as_half(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy in which every large weight that fp16 holds exactly is stored so, behind a Cast.

    The runtime computes the casts once, when it loads the file. Nothing is rounded here: weights
    that were not rounded before (`folded(..., weights="fp16")`) stay as they are.
    """
    result = copied(model)
    casts = []
    for tensor in result.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < HALF_STORED:
            continue
        # A weight beyond fp16 becomes infinite, and so is not equal.
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if not np.array_equal(half.astype(np.float32), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(half, f"{name}.fp16"))
        casts.append(
            helper.make_node("Cast", [tensor.name], [name], f"{name}/cast", to=TensorProto.FLOAT)
        )
    replace_nodes(result, [*casts, *result.graph.node])
    return result
