"""Who comes in when there is more than fits: shares by client, bytes, memory, and health always."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from hypothesis import given
from hypothesis import strategies as st

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server import admission, health, interceptor
from crossfuse_server.admission import MemoryWatermark
from crossfuse_server.pools import REFLECTION_THREADS
from crossfuse_server.shares import Shares

Serve = Callable[..., Any]
Eventually = Callable[..., None]

RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


def has_retry_info(status: Any) -> bool:
    return any(detail.Unpack(RetryInfo()) for detail in status.details)


def test_one_client_alone_gets_half() -> None:
    shares = Shares(10)
    assert [shares.take("a") for _ in range(6)] == [True] * 5 + [False]
    assert shares.take("b"), "one that comes later finds room"
    shares.give_back("a", 5)
    assert [shares.take("b") for _ in range(5)] == [True] * 4 + [False]
    assert shares.total == 5


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.integers(-5, 5)), max_size=60))
def test_shares_are_never_exceeded(moves: list[tuple[str, int]]) -> None:
    shares, held = Shares(20), dict.fromkeys("abcd", 0)
    for client, amount in moves:
        if amount < 0:
            back = min(-amount, held[client])
            shares.give_back(client, back)
            held[client] -= back
        elif shares.take(client, amount):
            held[client] += amount
        assert shares.total == sum(held.values()) <= 20
        assert max(held.values()) <= 10


@pytest.fixture
def two_tokens(tmp_path: Path) -> Path:
    tokens = tmp_path / "tokens"
    tokens.write_text("many\nfew\n", encoding="utf-8")
    return tokens


def test_who_asks_for_much_waits_for_himself(
    serve: Serve, stand_in: Any, make: Any, two_tokens: Path
) -> None:
    """A flood from one client; the other one, who asks for one pair at a time, is not held up."""

    def action(ir: Any, vis: Any) -> Any:
        time.sleep(0.005)
        return vis

    running = serve(stand_in(action), token_file=two_tokens, max_queue=16)
    over = threading.Event()
    refused: list[grpc.StatusCode] = []

    def flood() -> None:
        while not over.is_set():
            futures = [call("many") for _ in range(40)]
            refused.extend(f.code() for f in futures if f.code() is not grpc.StatusCode.OK)

    def call(token: str) -> Any:
        metadata = (("authorization", f"Bearer {token}"),)
        return running.stub.Fuse.future(make.request(), timeout=60, metadata=metadata)

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        answers = [call("few").result() for _ in range(20)]
    finally:
        over.set()
        thread.join()
    assert set(refused) == {RESOURCE_EXHAUSTED}
    # With one line for all it would wait for sixteen others.
    waits = sorted(answer.timings.queue_us for answer in answers)
    services = sorted(answer.timings.infer_us for answer in answers)
    assert waits[len(waits) // 2] < 5 * services[len(services) // 2]


def test_bytes_are_bounded(
    serve: Serve, gated: Any, make: Any, eventually: Eventually, monkeypatch: Any
) -> None:
    """Sixteen pairs of 0.6 MB would fit by number."""
    running = serve(gated, max_queue=64, max_pixels=128 * 128, max_queue_bytes=1_200_000)
    request = make.request(make.ir(128, 128), make.vis(128, 128))  # 64 KiB, and again decoded
    futures = [running.stub.Fuse.future(request, timeout=60) for _ in range(16)]
    eventually(lambda: sum(future.done() for future in futures) >= 11)
    assert running.server.admission.bytes_held <= 600_000
    status = running.refusal(request)
    assert status.code == RESOURCE_EXHAUSTED.value[0]
    assert "more than this client's share has left" in status.message
    assert has_retry_info(status)
    small = running.stub.Fuse.future(make.request(make.ir(32, 32), make.vis(32, 32)), timeout=60)
    gated.let_through()
    assert small.result().fused.height == 32
    assert {f.code() for f in futures} == {grpc.StatusCode.OK, RESOURCE_EXHAUSTED}
    eventually(lambda: running.server.admission.bytes_held == 0)


def test_streams_are_not_read_while_there_is_no_room(
    serve: Serve, gated: Any, make: Any, eventually: Eventually
) -> None:
    """They are held back, not refused; and every frame is answered in the end."""
    running = serve(gated, max_pixels=128 * 128, max_queue_bytes=600_000, max_in_flight=8)
    ir, vis = make.raw(make.ir(128, 128)), make.raw(make.vis(128, 128))
    streams = [running.stream(max_in_flight=8) for _ in range(3)]
    for stream in streams:
        for number in range(8):
            stream.frame(number, ir, vis)
        stream.half_close()
    gated.wait_for_picture()
    held = running.server.admission
    eventually(lambda: held.bytes_held > 250_000)
    assert held.bytes_held <= 300_000 + 3 * 70_000, "each stream may hold one frame"
    gated.let_through()
    for stream in streams:
        answers, status = stream.rest()
        assert [answer.WhichOneof("outcome") for answer in answers] == ["fused"] * 8
        assert status.code == 0
    eventually(lambda: held.bytes_held == 0)


def test_the_streams_of_one_client_leave_room_for_others(
    serve: Serve, gated: Any, make: Any, eventually: Eventually, two_tokens: Path
) -> None:
    """Of the bytes, with frames that nobody has fused yet, and of the places."""
    running = serve(
        gated,
        token_file=two_tokens,
        max_pixels=128 * 128,
        max_queue_bytes=1_200_000,
        max_in_flight=8,
        max_streams=3,
    )
    many, few = ((("authorization", f"Bearer {token}"),) for token in ("many", "few"))
    ir, vis = make.raw(make.ir(128, 128)), make.raw(make.vis(128, 128))
    streams = [running.stream(metadata=many, max_in_flight=8) for _ in range(3)]
    for stream in streams:
        for number in range(8):
            stream.frame(number, ir, vis)
        stream.half_close()
    gated.wait_for_picture()
    held = running.server.admission
    eventually(lambda: held.bytes_held > 500_000 and running.stream_count == 3)
    _, status = running.stream(metadata=many).rest()
    assert status.code == RESOURCE_EXHAUSTED.value[0]
    assert status.message.startswith("streams: got one more than this client's share")
    assert has_retry_info(status)
    other = running.stream(metadata=few)
    other.frame(1, ir, vis)
    call = running.stub.Fuse.future(make.request(ir, vis), timeout=60, metadata=few)
    eventually(lambda: running.waiting >= 2, "the call and the frame of the other wait")
    gated.let_through()
    assert call.result().fused.height == 128
    assert other.answer().WhichOneof("outcome") == "fused"
    for stream in streams:
        answers, status = stream.rest()
        assert len(answers) == 8
    other.half_close()
    assert other.rest()[1].code == 0
    eventually(lambda: held.bytes_held == 0)


def test_the_memory_of_the_process(
    serve: Serve, gated: Any, make: Any, eventually: Eventually, monkeypatch: Any
) -> None:
    """Above the mark new calls are refused, but one is always let in: it may be the last one."""
    monkeypatch.setattr(admission, "LOOK_SECONDS", -1.0)
    running = serve(gated, memory_limit_mb=1)
    inside = running.stub.Fuse.future(make.request(), timeout=60)
    gated.wait_for_picture()
    status = running.refusal(make.request())
    assert status.code == RESOURCE_EXHAUSTED.value[0]
    assert status.message.startswith("memory: got a call while the process holds more than 1048576")
    assert has_retry_info(status)
    gated.let_through()
    assert inside.result().fused.height == 48


def test_the_watermark_looks_now_and_then() -> None:
    looks: list[int] = []

    def resident() -> int:
        looks.append(1)
        return 2

    mark = MemoryWatermark(1, resident)
    assert mark.is_passed
    assert mark.is_passed
    assert len(looks) == 1


def test_health_answers_while_callers_without_number_wait(
    serve: Serve, gated: Any, make: Any
) -> None:
    """Ten times what the server takes; every refusal is ours, with a time to come back."""
    running = serve(gated, max_queue=4)
    request = make.request(make.ir(32, 32), make.vis(32, 32))
    futures = [running.stub.Fuse.future(request, timeout=60) for _ in range(400)]
    gated.wait_for_picture()
    assert running.health() == "SERVING"
    assert running.info().state == pb.SERVING_STATE_SERVING
    assert has_retry_info(running.refusal(request))
    gated.let_through()
    for future in futures:
        if future.code() is not grpc.StatusCode.OK:
            assert future.code() is RESOURCE_EXHAUSTED
            assert "grpc-status-details-bin" in dict(future.trailing_metadata())


def test_those_who_only_listen_hold_up_nobody(
    serve: Serve, make: Any, monkeypatch: pytest.MonkeyPatch, eventually: Eventually
) -> None:
    """Idle reflection streams and watchers of health, more than there are threads for them."""
    monkeypatch.setattr(interceptor, "REFLECTION_SECONDS", 0.3)
    running = serve()
    silence = threading.Event()
    reflection = reflection_pb2_grpc.ServerReflectionStub(running.channel)
    idle = [
        reflection.ServerReflectionInfo(iter(silence.wait, True), timeout=60)
        for _ in range(REFLECTION_THREADS + 2)
    ]
    watch = health_pb2_grpc.HealthStub(running.channel).Watch
    watchers = [
        watch(health_pb2.HealthCheckRequest(), timeout=60) for _ in range(health.MOST_WATCHERS)
    ]
    for watcher in watchers:
        assert next(watcher).status == health_pb2.HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as caught:
        next(watch(health_pb2.HealthCheckRequest(), timeout=60))
    assert caught.value.code() is RESOURCE_EXHAUSTED
    assert running.health() == "SERVING"
    assert running.fuse(make.request()).fused.height == 48

    def question() -> Iterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    (listed,) = reflection.ServerReflectionInfo(question(), timeout=60)
    assert len(listed.list_services_response.service) >= 3, "idle ones are cut off after a while"
    for call in (*idle, *watchers):
        call.cancel()
    silence.set()


def test_a_deadline_that_cannot_be_met_is_refused_at_once(
    serve: Serve, stand_in: Any, make: Any
) -> None:
    seen: list[int] = []

    def action(ir: Any, vis: Any) -> Any:
        seen.append(int(ir[0, 0]))
        time.sleep(0.2)
        return vis

    running = serve(stand_in(action))
    for _ in range(2):
        running.fuse(make.request(np.zeros((48, 64), np.uint8)))
    status = running.refusal(make.request(np.full((48, 64), 9, np.uint8)), timeout=0.15)
    assert status.code == grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
    running.fuse(make.request(np.zeros((48, 64), np.uint8)))
    assert 9 not in seen


def test_a_queue_that_is_too_long_for_the_deadline_says_when_to_come_back(
    serve: Serve, gated: Any, stand_in: Any, make: Any, eventually: Eventually
) -> None:
    slow = threading.Event()

    def action(ir: Any, vis: Any) -> Any:
        time.sleep(0.05)
        if ir[0, 0] == 1:
            assert slow.wait(60)
        return vis

    running = serve(stand_in(action))
    running.fuse(make.request(np.zeros((48, 64), np.uint8)))
    stuck = running.stub.Fuse.future(make.request(np.ones((48, 64), np.uint8)), timeout=60)
    eventually(lambda: running.server.host.default.queue._running > 0)
    crowd = [running.stub.Fuse.future(make.request(), timeout=60) for _ in range(100)]
    eventually(lambda: running.waiting == 100)
    status = running.refusal(make.request(), timeout=2.0)
    assert status.code == RESOURCE_EXHAUSTED.value[0]
    assert "but what waits takes" in status.message
    assert has_retry_info(status)
    for future in crowd:
        future.cancel()
    slow.set()
    stuck.result()
