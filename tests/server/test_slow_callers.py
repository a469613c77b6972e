"""Callers that send nothing or half a message, or take no answer: ended, and in nobody's way."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from google.rpc.status_pb2 import Status

from crossfuse_bench.half_messages import HalfMessages
from crossfuse_server import patience, transport

FUSE = "/crossfuse.v1.FusionService/Fuse"
INFO = "/crossfuse.v1.FusionService/GetServerInfo"
STREAM = "/crossfuse.v1.FusionService/FuseStream"
CHECK = "/grpc.health.v1.Health/Check"
WATCH = "/grpc.health.v1.Health/Watch"
LATE = grpc.StatusCode.DEADLINE_EXCEEDED.value[0]

Serve = Callable[..., Any]
Eventually = Callable[..., None]


def waiting(running: Any) -> int:
    """How many calls the server waits for."""
    return sum(caller.waits_since is not None for caller in running.server.pools.patience._callers)


def silent_call(running: Any, method: str, status_of: Any) -> Status:
    """The end of a call whose caller sends nothing at all."""
    never = threading.Event()
    call = running.channel.stream_stream(method)(iter(never.wait, True), timeout=60)
    with pytest.raises(grpc.RpcError) as caught:
        list(call)
    never.set()
    status: Status = status_of(caught.value)
    return status


@pytest.mark.parametrize("method", [FUSE, INFO, STREAM, CHECK, WATCH])
def test_a_caller_that_sends_nothing(
    method: str, serve: Serve, status_of: Any, eventually: Eventually
) -> None:
    running = serve(message_seconds=0.2)
    status = silent_call(running, method, status_of)
    assert status.code == LATE
    assert status.message.startswith("message: got none")
    if method in (FUSE, INFO, STREAM):
        name = method.rpartition("/")[2]
        eventually(lambda: running.ended(name) == {"DEADLINE_EXCEEDED": 1})
    assert running.server.admission.bytes_held == 0
    eventually(lambda: running.stream_count == 0)


@pytest.mark.parametrize("method", [FUSE, STREAM])
def test_half_messages_are_ended_and_counted(
    method: str, serve: Serve, eventually: Eventually, make: Any
) -> None:
    running = serve(message_seconds=0.3, max_streams=64)
    with HalfMessages(running.server.port) as calls:
        for _ in range(20):
            calls.begin(method)
        name = method.rpartition("/")[2]
        eventually(lambda: running.ended(name) == {"DEADLINE_EXCEEDED": 20})
    assert waiting(running) == 0
    assert running.fuse(make.request()).fused.height == 48


def test_others_are_served_while_64_hang(serve: Serve, eventually: Eventually, make: Any) -> None:
    """Of each kind, with more streams than there are places; none is due within the test."""
    running = serve(message_seconds=600.0, max_streams=32)
    with HalfMessages(running.server.port) as calls:
        for method, count in ((FUSE, 64), (CHECK, 64), (INFO, 20), (STREAM, 64)):
            for _ in range(count):
                calls.begin(method)
        eventually(lambda: waiting(running) == 64 + 64 + 20 + 32)
        threading.Event().wait(patience.GRACE_SECONDS)
        for _ in range(5):
            assert running.health() == "SERVING"
            assert running.fuse(make.request()).fused.height == 48
            assert running.info().version
        stream = running.stream()
        stream.frame(1, make.raw(make.ir()), make.raw(make.vis()))
        assert stream.answer().WhichOneof("outcome") == "fused"
    eventually(lambda: waiting(running) <= 1, "those of a connection that is gone are gone")


def test_more_than_there_are_threads(serve: Serve, eventually: Eventually) -> None:
    """Then who waits longer than it takes gives way: health still answers."""
    running = serve(message_seconds=600.0)
    with HalfMessages(running.server.port) as calls:
        for _ in range(250):
            calls.begin(CHECK)
        assert running.health() == "SERVING"
        eventually(lambda: waiting(running) <= 96)


def test_silent_streams_give_their_places(
    serve: Serve, eventually: Eventually, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SILENT_SECONDS", 0.2)
    running = serve(max_streams=2)
    silent = [running.stream(), running.stream()]
    for number, stream in enumerate(silent):
        stream.frame(number, make.raw(make.ir()), make.raw(make.vis()))
        assert stream.answer().WhichOneof("outcome") == "fused"
    threading.Event().wait(0.3)
    busy = running.stream()
    busy.frame(7, make.raw(make.ir()), make.raw(make.vis()))
    assert busy.answer().frame_id == 7
    answers, status = silent[0].rest()
    assert (answers, status.code) == ([], LATE)
    eventually(lambda: running.stream_count == 2)
    eventually(lambda: running.ended("FuseStream") == {"DEADLINE_EXCEEDED": 1})


def test_streams_that_work_keep_their_places(
    serve: Serve, gated: Any, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(patience, "SILENT_SECONDS", 0.0)
    running = serve(gated, max_streams=1)
    stream = running.stream()
    stream.frame(1, make.raw(make.ir()), make.raw(make.vis()))
    gated.wait_for_picture()
    _, status = running.stream().rest()
    assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    gated.let_through()
    assert stream.answer().frame_id == 1


def test_a_stream_without_a_next_frame(serve: Serve, make: Any) -> None:
    running = serve(idle_seconds=1.0)
    stream = running.stream()
    stream.frame(1, make.raw(make.ir()), make.raw(make.vis()))
    answers, status = stream.rest()
    assert [answer.frame_id for answer in answers] == [1]
    assert status.code == LATE


def test_an_answer_that_is_not_taken(serve: Serve, eventually: Eventually, make: Any) -> None:
    """Its reader reads the head of the answer and no more."""
    running = serve(idle_seconds=0.5)
    ir, vis = make.raw(make.ir(960, 1280)), make.raw(make.vis(960, 1280))
    stream = running.stream()
    for number in range(8):
        stream.frame(number, ir, vis)
    eventually(lambda: running.ended("FuseStream") == {"DEADLINE_EXCEEDED": 1})
    assert running.stream_count == 0
    assert running.server.admission.bytes_held == 0


def test_a_slow_engine_is_not_the_callers_fault(serve: Serve, gated: Any, make: Any) -> None:
    running = serve(gated, message_seconds=1.0, idle_seconds=1.0)
    call = running.stub.Fuse.future(make.request(), timeout=60)
    stream = running.stream(max_in_flight=2)
    stream.frame(1, make.raw(make.ir()), make.raw(make.vis()))
    gated.wait_for_picture()
    threading.Event().wait(1.5)
    gated.let_through()
    assert call.result().fused.height == 48
    assert stream.answer().frame_id == 1


@pytest.mark.parametrize("greeting", [b"", b"PRI * HTTP/2.0"])
def test_a_peer_that_does_not_finish_its_greeting(
    greeting: bytes, serve: Serve, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "HANDSHAKE_MS", 300)
    running = serve()
    with socket.create_connection(("127.0.0.1", running.server.port), timeout=60) as peer:
        peer.sendall(greeting)
        while peer.recv(4096):  # the server's own greeting, then the end
            pass
    assert running.fuse(make.request()).fused.height == 48
