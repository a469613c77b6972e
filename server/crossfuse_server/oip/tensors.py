"""The tensors of a request, checked, as arrays; and the answer's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.bundles import Manifest, TensorSpec
from crossfuse.errors import InvalidInput, UnknownName
from crossfuse.oip import ModelInferResponse

DATATYPES = {"uint8": "UINT8"}


@dataclass(frozen=True, slots=True)
class Pairs:
    """What a request wants fused: ir [N,H,W] and vis [N,H,W,3], uint8."""

    ir: UInt8Array
    vis: UInt8Array

    def __len__(self) -> int:
        return len(self.ir)


def shape_of(spec: TensorSpec) -> list[int]:
    """As the protocol writes it: -1 for what is free."""
    return [size if isinstance(size, int) else -1 for size in spec.shape]


def read_pairs(request: Any, manifest: Manifest, max_batch: int) -> Pairs:
    """The inputs of a ModelInferRequest; whatever is wrong names its tensor."""
    specs = {spec.name: spec for spec in manifest.inputs}
    _check_names(request, manifest)
    raw = request.raw_input_contents
    if raw and any(tensor.HasField("contents") for tensor in request.inputs):
        raise InvalidInput(
            "raw_input_contents", "values in contents too", "all tensors raw, or all typed"
        )
    if raw and len(raw) != len(request.inputs):
        raise InvalidInput(
            "raw_input_contents",
            str(len(raw)),
            f"{len(request.inputs)}, one for each input in their order",
        )
    arrays = {}
    for number, tensor in enumerate(request.inputs):
        shape = _read_shape(tensor, specs[tensor.name], max_batch)
        if raw:
            arrays[tensor.name] = _read_raw(tensor.name, raw[number], shape)
        else:
            arrays[tensor.name] = _read_typed(tensor, shape)
    return _as_pairs(arrays)


def write_answer(request_id: str, manifest: Manifest, fused: Sequence[UInt8Array]) -> Any:
    """The ModelInferResponse: fused [N,H,W,3], raw, with the model that was used."""
    (spec,) = manifest.outputs
    response = ModelInferResponse(
        model_name=manifest.name, model_version=str(manifest.version), id=request_id
    )
    shape = [len(fused), *fused[0].shape]
    response.outputs.add(name=spec.name, datatype=DATATYPES[spec.dtype], shape=shape)
    response.raw_output_contents.append(b"".join(picture.tobytes() for picture in fused))
    return response


def _check_names(request: Any, manifest: Manifest) -> None:
    """Every input once, nothing else, and no output that is not there."""
    valid = {spec.name: spec for spec in manifest.inputs}
    names = [tensor.name for tensor in request.inputs]
    for name in names:
        if name not in valid:
            raise UnknownName("input", name, valid)
        if names.count(name) > 1:
            raise InvalidInput(f"input {name}", "the same tensor twice", "each input once")
    for name, spec in valid.items():
        if name not in names:
            raise InvalidInput(
                f"input {name}", "nothing", f"{DATATYPES[spec.dtype]} {shape_of(spec)}"
            )
    outputs = [spec.name for spec in manifest.outputs]
    for tensor in request.outputs:
        if tensor.name not in outputs:
            raise UnknownName("output", tensor.name, outputs)


def _read_shape(tensor: Any, spec: TensorSpec, max_batch: int) -> tuple[int, ...]:
    field, shape, wanted = f"input {spec.name}", tuple(tensor.shape), shape_of(spec)
    if tensor.datatype != DATATYPES[spec.dtype]:
        raise InvalidInput(field, f"datatype {tensor.datatype!r}", DATATYPES[spec.dtype])
    fits = len(shape) == len(wanted) and all(
        size == fixed if fixed > 0 else size > 0 for size, fixed in zip(shape, wanted, strict=True)
    )
    if not fits:
        came = str(list(shape[:8])) if len(shape) <= 8 else f"{len(shape)} dimensions"
        raise InvalidInput(field, f"shape {came}", f"{wanted}, where -1 is any size")
    if shape[0] > max_batch:
        raise InvalidInput(field, f"a batch of {shape[0]}", f"1 to {max_batch} on this server")
    return shape


def _read_raw(name: str, data: bytes, shape: tuple[int, ...]) -> UInt8Array:
    wanted = math.prod(shape)
    if len(data) != wanted:
        raise InvalidInput(
            f"input {name}", f"{len(data)} bytes", f"{wanted} for shape {list(shape)}"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def _read_typed(tensor: Any, shape: tuple[int, ...]) -> UInt8Array:
    field, wanted = f"input {tensor.name}", math.prod(shape)
    others = [entry.name for entry, _ in tensor.contents.ListFields()]
    if others not in ([], ["uint_contents"]):
        raise InvalidInput(field, f"values in {', '.join(others)}", "uint_contents for UINT8")
    values = tensor.contents.uint_contents
    if len(values) != wanted:
        raise InvalidInput(
            field,
            f"{len(values)} values in uint_contents",
            f"{wanted} for shape {list(shape)}, there or in raw_input_contents",
        )
    array = np.fromiter(values, np.uint32, wanted)
    largest = int(array.max())
    if largest > 255:
        raise InvalidInput(field, f"the value {largest}", "0 to 255 for UINT8")
    return array.astype(np.uint8).reshape(shape)


def _as_pairs(arrays: Mapping[str, UInt8Array]) -> Pairs:
    pairs = Pairs(arrays["ir"], arrays["vis"])
    if len(pairs.ir) != len(pairs.vis):
        raise InvalidInput(
            "input ir",
            f"a batch of {len(pairs.ir)} while vis has one of {len(pairs.vis)}",
            "as many infrared pictures as visible ones",
        )
    return pairs
