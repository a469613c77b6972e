"""The twelve error cases whose codes real Triton was measured to give, and more of our own.

Where ours differ, ours say more: RESOURCE_EXHAUSTED for a full queue where Triton says UNAVAILABLE,
UNAUTHENTICATED for a missing token where Triton says UNAVAILABLE.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from tritonclient import grpc as triton

from crossfuse import oip
from crossfuse.errors import EngineError

Change = Callable[[Any], None]


def request_of(make: Any, change: Change = lambda request: None) -> Any:
    """A good request, changed."""
    request = oip.ModelInferRequest(model_name="mean", model_version="1", id="x")
    for name, array in (("ir", make.ir()[None]), ("vis", make.vis()[None])):
        request.inputs.add(name=name, datatype="UINT8", shape=array.shape)
        request.raw_input_contents.append(array.tobytes())
    change(request)
    return request


def refusal(running: Any, status_of: Any, request: Any, timeout: float = 60.0) -> Any:
    call = running.channel.unary_unary(
        oip.method_path("ModelInfer"),
        request_serializer=lambda message: message.SerializeToString(),
    )
    with pytest.raises(grpc.RpcError) as caught:
        call(request, timeout=timeout)
    return status_of(caught.value)


def set_shape(number: int, *shape: int) -> Change:
    def change(request: Any) -> None:
        request.inputs[number].shape[:] = shape

    return change


def typed(*values: int, field: str = "uint_contents") -> Change:
    def change(request: Any) -> None:
        del request.raw_input_contents[:]
        for tensor in request.inputs:
            getattr(tensor.contents, field).extend(values)

    return change


def parameter(name: str, **value: Any) -> Change:
    def change(request: Any) -> None:
        for key, given in value.items():
            setattr(request.parameters[name], key, given)

    return change


def drop_input(request: Any) -> None:
    del request.inputs[1], request.raw_input_contents[1]


def add_input(request: Any) -> None:
    request.inputs.add(name="depth", datatype="UINT8", shape=[1])
    request.raw_input_contents.append(b"1")


def repeat_input(request: Any) -> None:
    request.inputs.add().CopyFrom(request.inputs[0])
    request.raw_input_contents.append(request.raw_input_contents[0])


def set_version(request: Any) -> None:
    request.model_version = "3"


def set_name(request: Any) -> None:
    request.model_name = "nope"


def set_type(request: Any) -> None:
    request.inputs[0].datatype = "FP32"


def shorten(request: Any) -> None:
    request.raw_input_contents[0] = request.raw_input_contents[0][:-1]


def both_contents(request: Any) -> None:
    request.inputs[0].contents.uint_contents.append(1)


def fewer_buffers(request: Any) -> None:
    del request.raw_input_contents[1]


def batches_apart(request: Any) -> None:
    request.inputs[0].shape[0] = 2
    request.raw_input_contents[0] *= 2


def other_size(request: Any) -> None:
    request.inputs[0].shape[:] = [1, 32, 96]


def long_id(request: Any) -> None:
    request.id = "x" * 129


def small(request: Any) -> None:
    request.inputs[0].shape[:] = [1, 16, 48]
    request.inputs[1].shape[:] = [1, 16, 48, 3]
    request.raw_input_contents[:] = [bytes(16 * 48), bytes(16 * 48 * 3)]


SIZE = 48 * 64
INVALID: dict[str, tuple[Change, str, str]] = {
    # name: (what is done to a good request, what came, what is valid)
    "a missing input": (drop_input, "input vis: got nothing", "UINT8 [-1, -1, -1, 3]"),
    "an extra input": (add_input, "input: got 'depth'", "ir, vis"),
    "a wrong datatype": (set_type, "input ir: got datatype 'FP32'", "UINT8"),
    "a wrong rank": (
        set_shape(0, 48, 64),
        "input ir: got shape [48, 64]",
        "[-1, -1, -1], where -1 is any size",
    ),
    "a batch above the largest": (
        set_shape(0, 9, 48, 64),
        "input ir: got a batch of 9",
        "1 to 8 on this server",
    ),
    "an unknown output": (
        lambda request: request.outputs.add(name="fuse"),
        "output: got 'fuse'",
        "fused (did you mean 'fused'?)",
    ),
    "a short buffer": (
        shorten,
        f"input ir: got {SIZE - 1} bytes",
        f"{SIZE} for shape [1, 48, 64]",
    ),
    "an input twice": (repeat_input, "input ir: got the same tensor twice", "each input once"),
    "four channels": (
        set_shape(1, 1, 48, 64, 4),
        "input vis: got shape [1, 48, 64, 4]",
        "[-1, -1, -1, 3]",
    ),
    "no dimension": (set_shape(0), "input ir: got shape []", "[-1, -1, -1]"),
    "many dimensions": (
        set_shape(0, *range(1000)),
        "input ir: got shape 1000 dimensions",
        "[-1, -1, -1]",
    ),
    "a negative size": (
        set_shape(0, 1, -48, -64),
        "input ir: got shape [1, -48, -64]",
        "-1 is any",
    ),
    "an empty batch": (set_shape(0, 0, 48, 64), "input ir: got shape [0, 48, 64]", "-1 is any"),
    "a product that overflows": (
        set_shape(0, 1, 2**62, 2**62),
        f"input ir: got {SIZE} bytes",
        f"{2**124} for shape",
    ),
    "raw and typed values": (
        both_contents,
        "raw_input_contents: got values in contents too",
        "all tensors raw, or all typed",
    ),
    "fewer buffers than inputs": (
        fewer_buffers,
        "raw_input_contents: got 1",
        "2, one for each input",
    ),
    "fewer typed values": (
        typed(1, 2, 3),
        "input ir: got 3 values in uint_contents",
        f"{SIZE} for shape [1, 48, 64]",
    ),
    "no values": (typed(), "input ir: got 0 values in uint_contents", f"{SIZE} for shape"),
    "typed values above 255": (
        typed(*[256] * SIZE),
        "input ir: got the value 256",
        "0 to 255 for UINT8",
    ),
    "typed values of another type": (
        typed(1, 2, field="int_contents"),
        "input ir: got values in int_contents",
        "uint_contents for UINT8",
    ),
    "batches of two sizes": (
        batches_apart,
        "input ir: got a batch of 2 while vis has one of 1",
        "as many infrared pictures",
    ),
    "two sizes": (other_size, "ir: got 96x32 while vis is 64x48", "two pictures of the same size"),
    "smaller than the model takes": (
        small,
        "ir: got a picture of 48x16",
        "at least 32 pixels on each side",
    ),
    "a negative timeout": (
        parameter("timeout", int64_param=-1),
        "parameter timeout: got int64_param -1",
        "0 (the default) to 86400000000",
    ),
    "a timeout in words": (
        parameter("timeout", string_param="soon"),
        "parameter timeout: got string_param soon",
        "int64_param",
    ),
    "a timeout without a sign": (
        parameter("timeout", uint64_param=5),
        "parameter timeout: got uint64_param 5",
        "int64_param of 0",
    ),
    "a priority without a value": (
        parameter("priority", int64_param=0, string_param=""),
        "parameter priority: got string_param",
        "uint64_param of 0 (the default) to 3",
    ),
    "a priority below the last": (
        parameter("priority", uint64_param=4),
        "parameter priority: got uint64_param 4",
        "of 0 (the default) to 3",
    ),
    "a long id": (long_id, "id: got 129 characters", "at most 128"),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_argument(name: str, server: Any, make: Any, status_of: Any) -> None:
    change, came, valid = INVALID[name]
    status = refusal(server, status_of, request_of(make, change))
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0], status.message
    got, _, wanted = status.message.partition("; valid: ")
    assert got.startswith(came)
    assert valid in wanted


@pytest.mark.parametrize(
    ("change", "received"), [(set_name, "'nope:1'"), (set_version, "'mean:3'")]
)
def test_not_found(change: Change, received: str, server: Any, make: Any, status_of: Any) -> None:
    status = refusal(server, status_of, request_of(make, change))
    assert status.code == grpc.StatusCode.NOT_FOUND.value[0]
    assert status.message == f"model: got {received}; valid: mean:1, mean:2, other:1"


@pytest.mark.parametrize("name", ["shared_memory_region", "classification"])
@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_extensions_that_are_not_here(
    name: str, side: str, server: Any, make: Any, status_of: Any
) -> None:
    def change(request: Any) -> None:
        tensor = request.inputs[0] if side == "inputs" else request.outputs.add(name="fused")
        tensor.parameters[name].int64_param = 1

    status = refusal(server, status_of, request_of(make, change))
    assert status.code == grpc.StatusCode.UNIMPLEMENTED.value[0]
    tensor = "ir" if side == "inputs" else "fused"
    assert status.message.startswith(f"tensor {tensor}: got the parameter {name}; valid: ")


def test_bytes_that_are_no_message(server: Any, status_of: Any) -> None:
    for name, kind in (("ModelInfer", "ModelInferRequest"), ("ModelReady", "ModelReadyRequest")):
        with pytest.raises(grpc.RpcError) as caught:
            server.channel.unary_unary(oip.method_path(name))(b"\xff" * 100, timeout=60)
        status = status_of(caught.value)
        assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
        assert status.message.startswith("message: got 100 bytes that cannot be decoded (")
        assert status.message.endswith(f"valid: a {kind} of the Open Inference Protocol")


def test_the_client_runs_out_of_time(
    serve: Any, gated: Any, make: Any, tensors: Any, connect: Any
) -> None:
    client = connect(serve(gated))
    pair = tensors(("ir", make.ir()[None]), ("vis", make.vis()[None]))
    with pytest.raises(triton.InferenceServerException) as caught:
        client.infer("mean", pair, client_timeout=0.2)
    assert caught.value.status() == "StatusCode.DEADLINE_EXCEEDED"


def test_a_timeout_in_the_queue(serve: Any, gated: Any, make: Any, status_of: Any) -> None:
    """The parameter bounds the wait; what is being run is not stopped."""
    running = serve(gated)
    first = running.channel.unary_unary(oip.method_path("ModelInfer")).future(
        request_of(make).SerializeToString(), timeout=60
    )
    gated.wait_for_picture()
    late = threading.Timer(0.3, gated.let_through)
    late.start()
    second = request_of(make, parameter("timeout", int64_param=100_000))
    status = refusal(running, status_of, second)
    assert status.code == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
    assert "in the queue of mean:1" in status.message
    assert first.code() is grpc.StatusCode.OK
    late.join()


def test_a_full_queue(serve: Any, gated: Any, make: Any, status_of: Any, eventually: Any) -> None:
    """A batch that does not fit in whole leaves nothing behind in the queue."""
    running = serve(gated, max_queue=4)
    first = running.channel.unary_unary(oip.method_path("ModelInfer")).future(
        request_of(make).SerializeToString(), timeout=60
    )
    gated.wait_for_picture()

    def many(request: Any) -> None:
        for number, tensor in enumerate(request.inputs):
            tensor.shape[0] = 6
            request.raw_input_contents[number] *= 6

    status = refusal(running, status_of, request_of(make, many))
    assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert status.message.startswith("queue of mean:1: got more calls than the 4 that may wait")
    info = RetryInfo()
    assert status.details[0].Unpack(info)
    assert info.retry_delay.ToNanoseconds() > 0
    assert running.waiting == 0
    gated.let_through()
    assert first.code() is grpc.StatusCode.OK
    eventually(lambda: running.server.admission.bytes_held == 0)


def test_a_fault_of_the_engine(serve: Any, stand_in: Any, make: Any, status_of: Any) -> None:
    def fail(ir: Any, vis: Any) -> Any:
        raise EngineError("at /secret/path")

    status = refusal(serve(stand_in(fail)), status_of, request_of(make))
    assert status.code == grpc.StatusCode.INTERNAL.value[0]
    assert "incident" in status.message
    assert "secret" not in status.message


def test_a_client_that_goes_away_frees_its_places(
    serve: Any, gated: Any, make: Any, eventually: Any
) -> None:
    running = serve(gated)
    send = running.channel.unary_unary(oip.method_path("ModelInfer"))
    first = send.future(request_of(make).SerializeToString(), timeout=60)
    gated.wait_for_picture()

    def batch(request: Any) -> None:
        for number, tensor in enumerate(request.inputs):
            tensor.shape[0] = 3
            request.raw_input_contents[number] *= 3

    second = send.future(request_of(make, batch).SerializeToString(), timeout=60)
    eventually(lambda: running.waiting == 3)
    second.cancel()
    eventually(lambda: running.waiting == 0)
    gated.let_through()
    assert first.code() is grpc.StatusCode.OK


def test_many_small_fields_are_refused_before_they_are_decoded(
    server: Any, make: Any, status_of: Any
) -> None:
    """Two bytes each on the wire, and a hundred in memory."""
    data = request_of(make).SerializeToString() + b"\x2a\x00" * 50_000
    assert len(oip.ModelInferRequest.FromString(data).inputs) == 50_002
    with pytest.raises(grpc.RpcError) as caught:
        server.channel.unary_unary(oip.method_path("ModelInfer"))(data, timeout=60)
    status = status_of(caught.value)
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert status.message.startswith("message: got more than 65536 bytes beside the values")
