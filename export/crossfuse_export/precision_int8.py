"""int8 models: convolutions on 8-bit numbers, everything else as in the fp32 model.

Static quantisation with Q/DQ pairs, which onnxruntime and TensorRT both take: symmetric int8
activations (TensorRT knows no zero point) with ranges from calibration pictures, int8 weights with
a scale for each output channel, biases in float. Products of attention are never quantised.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from crossfuse.bundles import FileQuality
from crossfuse_export.calibration import Calibration
from crossfuse_export.errors import QualityMissed
from crossfuse_export.onnx_editing import copied, drop_notes
from crossfuse_export.quiet import only_errors
from crossfuse_export.tracing import module_of

ENDS = "first and last convolutions"
ATTENTION = "convolutions of attention"
BESIDE = "convolutions beside those"


@dataclass(frozen=True)
class Quantised:
    """An int8 model, what stayed in float, and what was measured."""

    model: onnx.ModelProto
    float_parts: tuple[str, ...]
    quality: FileQuality


def quantise(
    model: onnx.ModelProto,
    calibration: Calibration,
    measure: Callable[[bytes], FileQuality],
) -> Quantised:
    """The int8 model with the fewest parts in float that reaches its bar.

    `measure` raises QualityMissed where the bar is missed. The first and the last convolutions stay
    in float: their errors go straight into the picture, and they gain no time (they have one
    channel, or feed operators in float). Where the bar is missed attention's join them, then those
    next to all of these.
    """
    convs = frozenset(node.name for node in model.graph.node if node.op_type == "Conv")
    ends = end_convolutions(model)
    attention = frozenset(
        node.name
        for node in model.graph.node
        if node.name in convs - ends and "attention" in (module_of(node) or "")
    )
    if not convs - ends:
        raise QualityMissed(
            "int8: got a network without a convolution between its first and its last ones; "
            "valid: one that has something to quantise"
        )
    steps: list[tuple[tuple[str, ...], frozenset[str]]] = [((ENDS,), ends)]
    if attention:
        steps.append(((ENDS, ATTENTION), ends | attention))
    parts, in_float = steps[-1]
    steps.append(((*parts, BESIDE), in_float | neighbours(model, in_float)))
    steps = [(parts, in_float) for parts, in_float in steps if convs - in_float]
    while True:
        parts, in_float = steps.pop(0)
        result = to_int8(model, calibration, in_float)
        try:
            return Quantised(result, parts, measure(result.SerializeToString()))
        except QualityMissed:
            if not steps:
                raise


def to_int8(
    model: onnx.ModelProto, calibration: Calibration, in_float: Collection[str] = ()
) -> onnx.ModelProto:
    """The model with quantised convolutions, but for the nodes named in `in_float`."""
    # The quantiser's advice goes to the root logger.
    with tempfile.TemporaryDirectory() as folder, only_errors(logging.root):
        path = Path(folder) / "model.onnx"
        quantize_static(
            # A copy: the quantiser moves the weights of what it is given into a file.
            copied(model),
            path,
            _Reader(calibration),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=sorted(in_float),
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            extra_options={
                "ActivationSymmetric": True,
                "WeightSymmetric": True,
                "QuantizeBias": False,
            },
        )
        result = onnx.load(path)
    _keep_float_beside(result)
    drop_notes(result)
    return result


def end_convolutions(model: onnx.ModelProto) -> frozenset[str]:
    """Convolutions that no other one comes before, and those that no other one comes after.

    The blurs of the raise of local contrast work on the picture that the last ones made: they are
    ends too, and nothing is behind them.
    """
    blurs = {
        node.name
        for node in model.graph.node
        if node.op_type == "Conv" and "local_contrast" in (module_of(node) or "")
    }
    fed: set[str] = set()
    """Tensors that a convolution has touched."""
    first = []
    for node in model.graph.node:
        is_conv = node.op_type == "Conv" and node.name not in blurs
        behind = fed.intersection(node.input)
        if is_conv and not behind:
            first.append(node.name)
        if is_conv or behind:
            fed.update(node.output)
    ahead: set[str] = set()
    """Tensors that a convolution still uses."""
    last = []
    for node in reversed(model.graph.node):
        is_conv = node.op_type == "Conv" and node.name not in blurs
        used = ahead.intersection(node.output)
        if is_conv and not used:
            last.append(node.name)
        if is_conv or used:
            ahead.update(node.input)
    return frozenset((*first, *last, *blurs))


def neighbours(model: onnx.ModelProto, of: Collection[str]) -> frozenset[str]:
    """Convolutions with no other one between them and one of those named."""
    before: dict[str, frozenset[str]] = {}
    """The nearest convolutions behind each tensor."""
    found = set[str]()
    for node in model.graph.node:
        nearest = frozenset[str]().union(*(before.get(name, ()) for name in node.input))
        if node.op_type == "Conv":
            if nearest.intersection(of):
                found.add(node.name)
            if node.name in of:
                found.update(nearest)
            nearest = frozenset((node.name,))
        before.update(dict.fromkeys(node.output, nearest))
    return frozenset(found.difference(of))


def _keep_float_beside(model: onnx.ModelProto) -> None:
    """Give what is no convolution the float that was quantised for one.

    The quantiser sends every user of a tensor through its Q/DQ pair. A residual sum loses accuracy
    there, and onnxruntime fuses a convolution only with a pair that it has to itself.
    """
    maker = {name: node for node in model.graph.node for name in node.output}
    for node in model.graph.node:
        if node.op_type in ("Conv", "QuantizeLinear", "DequantizeLinear"):
            continue
        for place, name in enumerate(node.input):
            pair = maker.get(name)
            if pair is None or pair.op_type != "DequantizeLinear":
                continue
            source = maker[pair.input[0]].input[0]
            # The result of a quantised convolution is 8 bits itself.
            if source not in maker or maker[source].op_type != "Conv":
                node.input[place] = source


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, calibration: Calibration) -> None:
        self._pairs = iter(calibration)

    def get_next(self) -> dict[str, Any] | None:
        pair = next(self._pairs, None)
        return None if pair is None else {"ir": pair[0][None], "vis": pair[1][None]}
