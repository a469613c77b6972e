"""Reading an ONNX file that may be damaged, or made to harm, before any runtime sees it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto

from crossfuse.bundles import GRAPH_INPUTS, GRAPH_OUTPUTS, TensorSpec
from crossfuse.errors import BundleError
from crossfuse_export.operators import check_operators


def parse_onnx(content: bytes, source: str) -> onnx.ModelProto:
    """The model in the content of an .onnx file; `source` names it in errors.

    Checked: it is whole; all weights are inside, so that no file elsewhere is read in its name; the
    operators are those that every runtime has; inputs and outputs are those of a bundle.
    """
    try:
        model = onnx.ModelProto.FromString(content)
    except DecodeError as error:
        raise BundleError(
            f"{source}: got {len(content)} bytes that are no ONNX model ({error}); valid: a whole "
            ".onnx file, as the exporter wrote it"
        ) from error
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            place = {entry.key: entry.value for entry in tensor.external_data}
            raise BundleError(
                f"{source}: tensor {tensor.name!r}: got data outside of the file, in "
                f"{place.get('location', '')!r}; valid: weights inside the file, where its hash "
                "covers them"
            )
    # Before the checker, which knows no custom operators and would call them a missing schema.
    check_operators(model, source)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = " ".join(str(error).split())
        raise BundleError(
            f"{source}: got an ONNX model that is not whole or not valid ({reason:.300}); valid: "
            "an .onnx file as the exporter wrote it"
        ) from error
    _check_contract(source, "inputs", model.graph.input, GRAPH_INPUTS)
    _check_contract(source, "outputs", model.graph.output, GRAPH_OUTPUTS)
    return model


def _tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)


def _check_contract(
    source: str, role: str, values: Iterable[onnx.ValueInfoProto], expected: Iterable[TensorSpec]
) -> None:
    got = ", ".join(map(_described, values))
    valid = ", ".join(
        f"{spec.name} {spec.dtype} {_shape(isinstance(size, int) and size for size in spec.shape)}"
        for spec in expected
    )
    if got != valid:
        raise BundleError(f"{source}: {role}: got {got or 'none'}; valid: {valid}")


def _described(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type
    name = TensorProto.DataType.Name(kind.elem_type).lower()
    return f"{value.name} {name} {_shape(size.dim_value for size in kind.shape.dim)}"


def _shape(sizes: Iterable[int]) -> str:
    """Sizes in words; 0 is one that each picture has for itself."""
    return "[" + ",".join(str(size) if size else "any" for size in sizes) + "]"
