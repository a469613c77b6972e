"""FuseStream over a real socket: order, drops, deadlines, errors of one frame, and its ends."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest

from crossfuse.errors import OutOfMemory
from crossfuse.streaming import DropReason
from crossfuse.v1 import fusion_pb2 as pb

INVALID = grpc.StatusCode.INVALID_ARGUMENT.value[0]
NOT_FOUND = grpc.StatusCode.NOT_FOUND.value[0]
RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
OLDEST = pb.DROP_POLICY_OLDEST

Serve = Callable[..., Any]
Eventually = Callable[..., None]


def stream_threads() -> int:
    """Threads that work for streams, of servers in this process."""
    return sum(thread.name == "stream" for thread in threading.enumerate())


@pytest.fixture
def send(make: Any) -> Callable[..., None]:
    """Sends a frame whose pictures are all of one level."""

    def frame(stream: Any, number: int, level: int | None = None) -> None:
        pixels = np.full((48, 64), number % 256 if level is None else level, np.uint8)
        stream.frame(number, make.raw(pixels), make.raw(pixels), capture_time_us=number * 1000)

    return frame


def test_a_bad_frame_does_not_end_the_stream(server: Any, make: Any, send: Any) -> None:
    stream = server.stream()
    send(stream, 1)
    stream.frame(2, make.raw(make.ir()), pb.Image(data=b"???", encoding=pb.ENCODING_PNG))
    stream.frame(3, make.raw(make.ir(40, 40)), make.raw(make.vis()))
    stream.send(frame=pb.StreamFrame(frame_id=4))
    send(stream, 4)
    send(stream, 5)
    stream.half_close()
    answers, status = stream.rest()
    assert status.code == 0
    assert [answer.frame_id for answer in answers] == [1, 2, 3, 4, 4, 5]
    outcomes = [answer.WhichOneof("outcome") for answer in answers]
    assert outcomes == ["fused", "error", "error", "error", "error", "fused"]
    assert {answer.error.code for answer in answers[1:5]} == {INVALID}
    texts = [answer.error.message for answer in answers[1:5]]
    assert texts[0].startswith("vis.data: got 3 bytes that begin as no picture does; valid: ")
    assert texts[1].startswith("ir: got 40x40 while vis is 64x48; valid: ")
    assert texts[2].startswith("ir.data: got 0 bytes; valid: ")
    assert texts[3] == "frame_id: got 4 after 4; valid: numbers that increase, such as 5"


def test_a_failing_engine_does_not_end_the_stream(serve: Serve, stand_in: Any, send: Any) -> None:
    def action(ir: Any, vis: Any) -> Any:
        if ir[0, 0] == 2:
            raise OutOfMemory("the device has no memory left for this batch")
        return vis

    stream = serve(stand_in(action)).stream()
    for number in (1, 2, 3):
        send(stream, number)
    stream.half_close()
    answers, status = stream.rest()
    assert status.code == 0
    assert [answer.WhichOneof("outcome") for answer in answers] == ["fused", "error", "fused"]
    assert answers[1].error.code == RESOURCE_EXHAUSTED


def test_oldest_drops_what_waited_longest(
    serve: Serve, gated: Any, send: Any, eventually: Eventually
) -> None:
    running = serve(gated, max_in_flight=3)
    stream = running.stream(max_in_flight=3, drop_policy=OLDEST)
    send(stream, 0)
    gated.wait_for_picture()
    for number in range(1, 10):
        send(stream, number)
    (serving,) = running.open_streams
    eventually(lambda: serving.counters.received == 10)
    gated.let_through()
    stream.half_close()
    answers, status = stream.rest()
    assert status.code == 0
    assert [answer.frame_id for answer in answers] == list(range(10))
    assert [answer.capture_time_us for answer in answers] == [n * 1000 for n in range(10)]
    dropped = [answer for answer in answers if answer.WhichOneof("outcome") == "dropped"]
    # One ran, one was queued behind it, and the newest one found the room that was left.
    assert len(dropped) == 7
    assert answers[9].WhichOneof("outcome") == "fused"
    assert {answer.dropped.reason for answer in dropped} == {pb.DROP_REASON_OVERRUN}
    assert dropped[0].dropped.message == (
        "newer frames needed the room; send fewer, or raise max_in_flight"
    )
    assert serving.counters.dropped == {DropReason.OVERRUN: 7}
    assert len(gated.seen) == serving.counters.fused == 3


def test_a_frame_that_waits_too_long_is_dropped(
    serve: Serve, gated: Any, send: Any, eventually: Eventually
) -> None:
    """In the window, and in the queue of the model, which no other rule reaches."""
    running = serve(gated, max_in_flight=4)
    stream = running.stream(max_in_flight=4, frame_deadline_us=50_000)
    send(stream, 0)
    gated.wait_for_picture()
    for number in (1, 2, 3):
        send(stream, number)
    (serving,) = running.open_streams
    eventually(lambda: serving.counters.dropped[DropReason.DEADLINE] == 2)
    gated.let_through()
    answers = [stream.answer() for _ in range(4)]
    outcomes = [answer.WhichOneof("outcome") for answer in answers]
    assert outcomes == ["fused", "dropped", "dropped", "dropped"]
    assert {answer.dropped.reason for answer in answers[1:]} == {pb.DROP_REASON_DEADLINE}
    assert answers[1].dropped.message == (
        "it waited longer than the frame_deadline_us of the stream"
    )
    assert gated.seen == [0]


@pytest.mark.parametrize("deadline", [1, 2**63, 2**64 - 1])
def test_absurd_deadlines(deadline: int, server: Any, send: Any) -> None:
    stream = server.stream(frame_deadline_us=deadline)
    send(stream, 1)
    expected = "dropped" if deadline == 1 else "fused"
    assert stream.answer().WhichOneof("outcome") == expected


def test_streams_are_not_refused_for_a_full_queue(
    serve: Serve, gated: Any, make: Any, send: Any, eventually: Eventually
) -> None:
    running = serve(gated, max_queue=1)
    calls = [running.stub.Fuse.future(make.request(), timeout=60)]
    gated.wait_for_picture()
    calls.append(running.stub.Fuse.future(make.request(), timeout=60))
    eventually(lambda: running.waiting == 1)
    stream = running.stream()
    for number in range(5):
        send(stream, number)
    stream.half_close()
    eventually(lambda: running.waiting == 3)
    assert running.refusal(make.request()).code == RESOURCE_EXHAUSTED
    gated.let_through()
    answers, status = stream.rest()
    assert (len(answers), status.code) == (5, 0)
    assert {answer.WhichOneof("outcome") for answer in answers} == {"fused"}
    for call in calls:
        call.result()


def test_streams_take_no_places_of_single_calls(
    serve: Serve, gated: Any, make: Any, send: Any, eventually: Eventually
) -> None:
    running = serve(gated, max_queue=1)
    streams = [running.stream() for _ in range(3)]
    for stream in streams:
        send(stream, 0)
        send(stream, 1)
    eventually(lambda: running.waiting == 5)
    call = running.stub.Fuse.future(make.request(), timeout=60)
    eventually(lambda: running.waiting == 6)
    gated.let_through()
    assert call.result().fused.height == 48


@pytest.mark.parametrize(
    ("config", "code", "message"),
    [
        (
            {"max_in_flight": 5},
            INVALID,
            "config.max_in_flight: got 5; valid: at most 4 on this server, or 0 for its default",
        ),
        ({"drop_policy": 9}, INVALID, "config.drop_policy: got 9; valid: DROP_POLICY_UNSPECIFIED"),
        ({"options": {"quality": 101}}, INVALID, "options.quality: got 101; valid: 1 to 100"),
        ({"model": {"name": "nope"}}, NOT_FOUND, "model: got 'nope'; valid: mean:1, mean:2"),
    ],
)
def test_a_config_that_breaks_a_rule(
    config: dict[str, Any], code: int, message: str, server: Any
) -> None:
    answers, status = server.stream(**config).rest()
    assert answers == []
    assert status.code == code
    assert status.message.startswith(message)


@pytest.mark.parametrize("first", ["frame", "empty", "nothing"])
def test_a_stream_without_a_config(first: str, server: Any) -> None:
    messages = {
        "frame": [pb.FuseStreamRequest(frame=pb.StreamFrame(frame_id=1))],
        "empty": [pb.FuseStreamRequest()],
        "nothing": [],
    }
    with pytest.raises(grpc.RpcError) as caught:
        list(server.stub.FuseStream(iter(messages[first]), timeout=60))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    came = "frame" if first == "frame" else "nothing"
    assert caught.value.details() == (
        f"message: got {came}; valid: a StreamConfig as the first message of a stream"
    )


@pytest.mark.parametrize("wrong", ["config", "empty"])
def test_a_wrong_message_ends_the_stream_after_its_answers(
    wrong: str, serve: Serve, gated: Any, send: Any
) -> None:
    stream = serve(gated).stream()
    send(stream, 1)
    send(stream, 2)
    stream.send(**({"config": pb.StreamConfig()} if wrong == "config" else {}))
    send(stream, 3)
    gated.let_through()
    answers, status = stream.rest()
    assert [answer.frame_id for answer in answers] == [1, 2]
    assert {answer.WhichOneof("outcome") for answer in answers} == {"fused"}
    assert status.code == INVALID
    came = "config" if wrong == "config" else "an empty message"
    assert status.message == (
        f"message: got {came}; valid: a frame; the config is sent once, as the first message"
    )


def test_garbage_ends_the_stream_after_its_answers(server: Any, make: Any) -> None:
    frame = pb.StreamFrame(frame_id=1, ir=make.raw(make.ir()), vis=make.raw(make.vis()))
    messages = [
        pb.FuseStreamRequest(config=pb.StreamConfig()).SerializeToString(),
        pb.FuseStreamRequest(frame=frame).SerializeToString(),
        b"\xff\xff",
    ]
    call = server.channel.stream_stream("/crossfuse.v1.FusionService/FuseStream")(
        iter(messages), timeout=60
    )
    assert pb.FuseStreamResponse.FromString(next(call)).WhichOneof("outcome") == "fused"
    with pytest.raises(grpc.RpcError) as caught:
        next(call)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "message: got 2 bytes that cannot be decoded" in str(caught.value.details())


def test_a_half_closed_stream_gets_all_its_answers(serve: Serve, gated: Any, send: Any) -> None:
    stream = serve(gated).stream(max_in_flight=2)
    for number in range(6):
        send(stream, number)
    stream.half_close()
    gated.let_through()
    answers, status = stream.rest()
    assert [answer.frame_id for answer in answers] == list(range(6))
    assert status.code == 0


def test_a_stream_with_no_frames(server: Any) -> None:
    stream = server.stream()
    stream.half_close()
    answers, status = stream.rest()
    assert (answers, status.code) == ([], 0)


def test_one_stream_too_many(serve: Serve, make: Any, send: Any, eventually: Eventually) -> None:
    """A stream counts from its first moment, not from its first message."""
    running = serve(max_streams=2)
    silence = threading.Event()
    silent = running.stub.FuseStream(iter(silence.wait, True), timeout=60)
    open_one = running.stream()
    send(open_one, 1)
    assert open_one.answer().WhichOneof("outcome") == "fused"
    eventually(lambda: running.stream_count == 2)
    _, status = running.stream().rest()
    assert status.code == RESOURCE_EXHAUSTED
    assert status.message.startswith("streams: got one more than this client's share, 2 or less")
    assert len(status.details) == 1
    silent.cancel()
    silence.set()
    eventually(lambda: running.stream_count == 1)
    again = running.stream()
    send(again, 1)
    assert again.answer().WhichOneof("outcome") == "fused"


def test_a_cancelled_stream_leaves_nothing_behind(
    serve: Serve, gated: Any, make: Any, send: Any, eventually: Eventually, caplog: Any
) -> None:
    """Its frames leave the queue of the model at once; its threads end."""
    before = stream_threads()
    running = serve(gated, max_in_flight=4)
    call = running.stub.Fuse.future(make.request(), timeout=60)
    gated.wait_for_picture()
    stream = running.stream(max_in_flight=4)
    for number in range(10):
        send(stream, number, level=7)
    eventually(lambda: running.waiting == 2)
    stream.call.cancel()
    eventually(lambda: running.waiting == 0)
    eventually(lambda: running.stream_count == 0)
    eventually(lambda: stream_threads() == before)
    eventually(lambda: running.ended("FuseStream") == {"CANCELLED": 1})
    gated.let_through()
    call.result()
    assert 7 not in gated.seen
    assert caplog.records == []


def test_a_stream_that_is_cancelled_while_its_frame_runs(
    serve: Serve, gated: Any, make: Any, send: Any, eventually: Eventually
) -> None:
    before = stream_threads()
    running = serve(gated)
    stream = running.stream()
    for number in range(3):
        send(stream, number)
    gated.wait_for_picture()
    stream.call.cancel()
    eventually(lambda: running.stream_count == 0)
    gated.let_through()
    eventually(lambda: stream_threads() == before)
    assert running.fuse(make.request()).fused.height == 48


@pytest.mark.parametrize("before_config", [True, False])
def test_a_caller_that_goes_away_is_no_fault(
    before_config: bool, serve: Serve, send: Any, eventually: Eventually, caplog: Any
) -> None:
    running = serve()
    silence = threading.Event()
    if before_config:
        call = running.stub.FuseStream(iter(silence.wait, True), timeout=60)
        eventually(lambda: running.stream_count == 1)
        call.cancel()
    else:
        stream = running.stream()
        send(stream, 1)
        stream.answer()
        stream.call.cancel()
    eventually(lambda: sum(running.ended("FuseStream").values()) == 1)
    eventually(lambda: running.stream_count == 0)
    silence.set()
    # gRPC may tell of the end of the messages before it tells of the cancellation.
    end_of_messages = "INVALID_ARGUMENT" if before_config else "OK"
    assert set(running.ended("FuseStream")) <= {"CANCELLED", end_of_messages}
    assert caplog.records == []


def test_a_stream_past_its_own_deadline(
    serve: Serve, gated: Any, send: Any, eventually: Eventually
) -> None:
    before = stream_threads()
    running = serve(gated)
    stream = running.stream(timeout=1.0)
    send(stream, 1)
    _, status = stream.rest()
    assert status.code == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
    gated.let_through()
    eventually(lambda: stream_threads() == before)
    eventually(lambda: running.stream_count == 0)
    eventually(lambda: sum(running.ended("FuseStream").values()) == 1)
    # The caller's clock may be the first one to run out: then the server sees it go away.
    assert set(running.ended("FuseStream")) <= {"DEADLINE_EXCEEDED", "CANCELLED"}


def test_the_log_says_what_became_of_the_frames(
    serve: Serve, make: Any, send: Any, eventually: Eventually, caplog: Any
) -> None:
    caplog.set_level("INFO", logger="crossfuse_server.windowed")
    running = serve()
    stream = running.stream()
    send(stream, 1)
    send(stream, 1)
    stream.half_close()
    assert len(stream.rest()[0]) == 2
    eventually(lambda: "received=2, fused=1, failed=1" in caplog.text)
