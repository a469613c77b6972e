"""Whatever comes over the wire: only documented answers; and how schema browsers find the calls."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfuse import oip

EXPECTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.UNIMPLEMENTED,
    # What a changed `timeout` may lead to.
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}


def whole(*, typed: bool) -> bytes:
    request = oip.ModelInferRequest(model_name="mean", id="x", outputs=[{"name": "fused"}])
    request.parameters["priority"].uint64_param = 1
    request.parameters["timeout"].int64_param = 10**9
    for name, shape in (("ir", (1, 32, 32)), ("vis", (1, 32, 32, 3))):
        tensor = request.inputs.add(name=name, datatype="UINT8", shape=shape)
        values = bytes([3]) * int(np.prod(shape))
        if typed:
            tensor.contents.uint_contents.extend(values)
        else:
            request.raw_input_contents.append(values)
    data: bytes = request.SerializeToString()
    return data


@settings(max_examples=120)
@given(
    flips=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), max_size=6),
    cut=st.floats(0, 1),
    typed=st.booleans(),
)
def test_damaged_requests(
    flips: list[tuple[float, int]], cut: float, typed: bool, server: Any
) -> None:
    data = bytearray(whole(typed=typed))
    # Most bytes are values; those around them, which say what they are, are changed as often.
    values = bytes([3]) * 16
    places = [n for n in range(len(data)) if data[n : n + 16] != values]
    for where, value in flips:
        data[places[int(where * len(places))]] = value
    call = server.channel.unary_unary(oip.method_path("ModelInfer"))
    answer = call.future(bytes(data[: int(cut * 2 * len(data))]), timeout=60)
    assert answer.code() in EXPECTED, answer.details()


def test_reflection_knows_both_services(server: Any) -> None:
    """Ours, and Triton's, whose definitions are in a pool of their own."""
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(server.channel)
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=oip.SERVICE),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="crossfuse.v1.FusionService"),
    ]
    answers = list(stub.ServerReflectionInfo(iter(requests), timeout=60))
    names = {service.name for service in answers[0].list_services_response.service}
    assert {oip.SERVICE, "crossfuse.v1.FusionService", "grpc.health.v1.Health"} <= names
    files = [
        {
            FileDescriptorProto.FromString(data).name
            for data in answer.file_descriptor_response.file_descriptor_proto
        }
        for answer in answers[1:]
    ]
    assert files[0] == {"grpc_service.proto", "model_config.proto"}
    assert "crossfuse/v1/fusion.proto" in files[1]
