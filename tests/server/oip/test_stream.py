"""ModelStreamInfer over a real socket: order, errors of one request, back-pressure, the end."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import InferResult

from crossfuse import oip
from crossfuse.errors import EngineError
from crossfuse_server.admission import FrameBytes

IN_FLIGHT = 4


class InferCall:
    """A ModelStreamInfer call whose requests are sent one by one."""

    def __init__(self, running: Any, make: Any, timeout: float = 60.0) -> None:
        self._make = make
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.taken = 0
        method = running.channel.stream_stream(
            oip.method_path("ModelStreamInfer"),
            response_deserializer=oip.ModelStreamInferResponse.FromString,
        )
        self.call = method(self._messages(), timeout=timeout)

    def send(self, number: int, model: str = "mean", **fields: Any) -> None:
        """A pair whose infrared picture has one grey level."""
        ir = np.full((1, 32, 32), number % 256, np.uint8)
        request = oip.ModelInferRequest(
            model_name=model, model_version="1", id=str(number), **fields
        )
        for name, array in (("ir", ir), ("vis", np.repeat(ir[..., None], 3, 3))):
            request.inputs.add(name=name, datatype="UINT8", shape=array.shape)
            request.raw_input_contents.append(array.tobytes())
        self.send_bytes(request.SerializeToString())

    def send_bytes(self, data: bytes) -> None:
        """Whatever it is."""
        self._requests.put(data)

    def half_close(self) -> None:
        """Send nothing more."""
        self._requests.put(None)

    def answer(self) -> Any:
        """The next answer."""
        return next(self.call)

    def end(self) -> None:
        """Cancel the call and free the thread that sends for it."""
        self.call.cancel()
        self.half_close()

    def _messages(self) -> Iterator[bytes]:
        for data in iter(self._requests.get, None):
            self.taken += 1
            yield data


@pytest.fixture
def stream(make: Any) -> Iterator[Callable[..., InferCall]]:
    """Opens streams that end with the test."""
    opened: list[InferCall] = []

    def start(running: Any, **options: Any) -> InferCall:
        opened.append(InferCall(running, make, **options))
        return opened[-1]

    yield start
    for call in opened:
        call.end()


def test_two_hundred_frames_by_tritonclient(client: Any, make: Any, tensors: Any) -> None:
    """In order, each with its own picture, and counted."""
    (before,) = client.get_inference_statistics("mean", "1").model_stats
    answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    vis = make.vis()[None]
    for number in range(200):
        ir = np.full((1, 48, 64), number, np.uint8)
        client.async_stream_infer(
            "mean", tensors(("ir", ir), ("vis", vis)), request_id=str(number), model_version="1"
        )
    for number in range(200):
        result, error = answers.get(timeout=60)
        assert error is None
        response = result.get_response()
        assert response.id == str(number)
        assert response.parameters["triton_final_response"].bool_param
        fused = result.as_numpy("fused")
        assert np.array_equal(fused, np.rint((vis.astype(np.float32) + number) / 2))
    client.stop_stream()
    (after,) = client.get_inference_statistics("mean", "1").model_stats
    assert after.inference_count - before.inference_count == 200


def test_an_error_is_that_of_its_request_alone(server: Any, stream: Any) -> None:
    call = stream(server)
    call.send(0)
    call.send(1, model="nope")
    call.send(2, parameters={"priority": {"int64_param": 9}})
    call.send_bytes(oip.ModelInferRequest(model_name="mean", id="3").SerializeToString())
    call.send(4)
    call.half_close()
    answers = list(call.call)
    assert [answer.infer_response.id for answer in answers] == ["0", "1", "2", "3", "4"]
    told = [
        (
            answer.infer_response.parameters["crossfuse_status"].string_param,
            answer.error_message.partition("; valid")[0],
        )
        for answer in answers[1:4]
    ]
    assert told == [
        ("NOT_FOUND", "model: got 'nope:1'"),
        ("INVALID_ARGUMENT", "parameter priority: got int64_param 9"),
        ("INVALID_ARGUMENT", "input ir: got nothing"),
    ]
    for answer in (answers[0], answers[4]):
        assert answer.error_message == ""
        number = int(answer.infer_response.id)
        assert np.all(InferResult(answer.infer_response).as_numpy("fused") == number)
    assert call.call.code() is grpc.StatusCode.OK


def test_batches_and_faults(serve: Any, stand_in: Any, stream: Any) -> None:
    def fail_at_three(ir: Any, vis: Any) -> Any:
        if ir[0, 0] == 3:
            raise EngineError("at /secret/path")
        return vis

    call = stream(serve(stand_in(fail_at_three)))
    for number in (2, 3, 4):
        call.send(number)
    levels = np.arange(6, dtype=np.uint8)
    for values in (levels[:3], levels[:4]):
        ir = np.tile(values[:, None, None], (1, 32, 32))
        request = oip.ModelInferRequest(model_name="mean")
        for name, array in (("ir", ir), ("vis", np.repeat(ir[..., None], 3, 3))):
            request.inputs.add(name=name, datatype="UINT8", shape=array.shape)
            request.raw_input_contents.append(array.tobytes())
        call.send_bytes(request.SerializeToString())
    call.half_close()
    answers = list(call.call)
    assert ["incident" in answer.error_message for answer in answers] == [0, 1, 0, 0, 1]
    assert not any("secret" in answer.error_message for answer in answers)
    assert InferResult(answers[3].infer_response).as_numpy("fused")[:, 0, 0, 0].tolist() == [
        0,
        1,
        2,
    ]


def test_back_pressure(serve: Any, gated: Any, stream: Any, eventually: Any) -> None:
    """A sender that does not wait for answers is not read from; others are served meanwhile."""
    running = serve(gated, max_in_flight=IN_FLIGHT)
    call = stream(running)
    for number in range(400):
        call.send(number)
    gated.wait_for_picture()
    # One more is in the hands of the reader, which waits for room; the rest wait with the client
    # or in buffers of HTTP/2.
    eventually(lambda: running.server.admission.bytes_held > 0)
    (inside,) = running.server.open_streams._streams
    eventually(lambda: inside._window.counters.received == IN_FLIGHT)
    assert running.waiting <= IN_FLIGHT
    assert running.server.admission.bytes_held < 10 * 4 * 32 * 32
    gated.let_through()
    assert [call.answer().infer_response.id for _ in range(400)] == [str(n) for n in range(400)]
    call.half_close()
    assert list(call.call) == []
    eventually(lambda: running.server.admission.bytes_held == 0)


def test_bytes_of_all_streams_hold_a_stream_back(
    server: Any, stream: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Typed values count for what they become."""
    sizes: list[int] = []
    let_in = FrameBytes.let_in

    def watch(self: Any, size: int) -> bool:
        sizes.append(size)
        return let_in(self, size)

    monkeypatch.setattr(FrameBytes, "let_in", watch)
    call = stream(server)
    request = oip.ModelInferRequest(model_name="mean")
    for name, shape in (("ir", (1, 32, 32)), ("vis", (1, 32, 32, 3))):
        tensor = request.inputs.add(name=name, datatype="UINT8", shape=shape)
        tensor.contents.uint_contents.extend([7] * int(np.prod(shape)))
    data = request.SerializeToString()
    call.send_bytes(data)
    assert np.all(InferResult(call.answer().infer_response).as_numpy("fused") == 7)
    assert sizes == [len(data) + 8 * 4 * 32 * 32]


def test_a_message_that_cannot_be_decoded_ends_the_stream(
    server: Any, stream: Any, status_of: Any
) -> None:
    call = stream(server)
    call.send(1)
    call.send_bytes(b"\xff" * 9)
    assert call.answer().infer_response.id == "1"
    with pytest.raises(grpc.RpcError) as caught:
        call.answer()
    status = status_of(caught.value)
    assert status.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    assert status.message.startswith("message: got 9 bytes that cannot be decoded")


def test_draining(serve: Any, gated: Any, stream: Any, eventually: Any) -> None:
    """What is inside is answered, then the stream ends."""
    running = serve(gated)
    call = stream(running)
    call.send(1)
    gated.wait_for_picture()
    running.server.open_streams.drain()
    gated.let_through()
    assert call.answer().error_message == ""
    with pytest.raises(grpc.RpcError) as caught:
        call.answer()
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_client_that_goes_away_leaves_nothing(
    serve: Any, gated: Any, stream: Any, eventually: Any
) -> None:
    running = serve(gated)
    call = stream(running)
    for number in range(8):
        call.send(number)
    gated.wait_for_picture()
    assert running.stream_count == 1
    call.end()
    eventually(lambda: running.stream_count == 0)
    gated.let_through()
    eventually(lambda: running.server.admission.bytes_held == 0)
    assert running.waiting == 0


def test_streams_of_both_protocols_share_their_number(
    serve: Any, gated: Any, stream: Any, eventually: Any, status_of: Any
) -> None:
    running = serve(gated, max_streams=2)
    running.stream()
    eventually(lambda: running.stream_count == 1)
    stream(running)
    eventually(lambda: running.stream_count == 2)
    with pytest.raises(grpc.RpcError) as caught:
        stream(running).answer()
    assert status_of(caught.value).code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
