"""What stands before and inside a replica of a Ray cluster, without Ray."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hypothesis import given
from hypothesis import strategies as st

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.ray_serve.carried import MARK, carried, carry
from crossfuse_server.ray_serve.door import FUSE, FUSE_STREAM, Door
from crossfuse_server.ray_serve.forwarding import PEER, REPLICA, Forwarder
from crossfuse_server.ray_serve.health_checks import HealthChecks

FULL = (grpc.StatusCode.RESOURCE_EXHAUSTED, "Request dropped due to backpressure")
DIED = (grpc.StatusCode.INTERNAL, "The actor died unexpectedly before finishing this task.")
GONE = (grpc.StatusCode.UNAVAILABLE, "The deployment is unavailable")
NOTHING = (grpc.StatusCode.NOT_FOUND, "Application metadata not set.")
FAULT = (grpc.StatusCode.INTERNAL, "division by zero")


class Call:
    """What Ray gives a replica to say of a call."""

    def __init__(self, **metadata: str) -> None:
        self.metadata = list(metadata.items())
        self.code: grpc.StatusCode | None = None
        self.details = ""
        self.trailing: list[tuple[str, Any]] = []

    def invocation_metadata(self) -> list[tuple[str, Any]]:
        return self.metadata

    def peer(self) -> str:
        return "ipv4:192.0.2.1:4242"

    def set_code(self, code: grpc.StatusCode) -> None:
        self.code = code

    def set_details(self, details: str) -> None:
        self.details = details

    def set_trailing_metadata(self, metadata: list[tuple[str, Any]]) -> None:
        self.trailing = metadata


def called(door: Door, behavior: Any, method: str, *messages: bytes) -> tuple[list[bytes], Any]:
    """The answers of a door whose handlers call a function, as Ray makes them do; and the error."""
    handlers = door._method_handlers
    kind = "stream_stream" if method == FUSE_STREAM else "unary_unary"
    handlers[method] = handlers[method]._replace(**{kind: behavior})

    async def call() -> tuple[list[bytes], Any]:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((door,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        answers: list[bytes] = []
        untyped: Any = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        async with untyped as channel:
            try:
                if method == FUSE_STREAM:
                    stream = channel.stream_stream(method)
                    async for answer in stream(iter(messages)):
                        answers.append(answer)  # noqa: PERF401 - what came before an error counts
                else:
                    unary = channel.unary_unary(method)
                    answers.append(await unary(*messages))
            except grpc.aio.AioRpcError as error:
                return answers, error
            finally:
                await server.stop(None)
        return answers, None

    return asyncio.run(call())


def failing(code: grpc.StatusCode, text: str) -> Any:
    async def behavior(_: bytes, context: Any) -> bytes:
        context.set_code(code)
        context.set_details(text)
        return b""

    return behavior


@given(st.text(), st.integers(1, 16))
def test_a_status_survives_its_way(message: str, code: int) -> None:
    status = Status(code=code, message=message)
    assert carried(carry(status)) == status
    assert carried(message) is None or message.startswith(MARK)


@pytest.mark.parametrize("text", [MARK, MARK + "!", MARK + "ÿ", MARK + "////", "", "Not found"])
def test_somebody_elses_text_is_no_status(text: str) -> None:
    assert carried(text) in (None, Status())


@pytest.mark.parametrize(
    ("refusal", "code", "words"),
    [
        (FULL, grpc.StatusCode.RESOURCE_EXHAUSTED, "calls: got one more than all replicas take"),
        (DIED, grpc.StatusCode.UNAVAILABLE, "the replica that had the call was lost"),
        (GONE, grpc.StatusCode.UNAVAILABLE, "no replica can take calls"),
        (NOTHING, grpc.StatusCode.UNAVAILABLE, "no replica can take calls"),
        (FAULT, *FAULT),
    ],
)
def test_what_rays_own_refusals_become(
    refusal: tuple[grpc.StatusCode, str],
    code: grpc.StatusCode,
    words: str,
    status_of: Callable[[Any], Status],
) -> None:
    answers, error = called(Door(by_model=False), failing(*refusal), FUSE, b"")
    assert answers == []
    assert error.code() is code
    assert words in error.details()
    info = RetryInfo()
    retries = [detail for detail in status_of(error).details if detail.Unpack(info)]
    assert len(retries) == (refusal is FULL)


def test_the_status_of_a_replica_gets_its_details_back(status_of: Callable[[Any], Status]) -> None:
    sent = Status(code=5, message="model: got 'nope'; valid: mean:1")
    sent.details.add().Pack(RetryInfo())

    async def answering(_: Any, context: Any) -> AsyncIterator[bytes]:
        yield b"first"
        context.set_code(grpc.StatusCode.NOT_FOUND)
        context.set_details(carry(sent))
        yield b""  # brings the status, and is no message

    for method, behavior in (
        (FUSE, failing(grpc.StatusCode.NOT_FOUND, carry(sent))),
        (FUSE_STREAM, answering),
    ):
        answers, error = called(Door(by_model=False), behavior, method, b"")
        assert status_of(error) == sent
        assert answers == ([b"first"] if method == FUSE_STREAM else [])


@pytest.mark.parametrize("name", ["", "other"])
@pytest.mark.parametrize("by_model", [False, True])
def test_calls_say_their_model_where_models_have_replicas_of_their_own(
    by_model: bool, name: str
) -> None:
    seen: list[Any] = []

    async def unary(message: bytes, context: Any) -> bytes:
        seen.append((message, dict(context.invocation_metadata()).get("multiplexed_model_id")))
        return b"answer"

    async def stream(messages: Any, context: Any) -> AsyncIterator[bytes]:
        model = dict(context.invocation_metadata()).get("multiplexed_model_id")
        async for message in messages:
            seen.append((message, model))
            yield b"answer"

    model = pb.ModelRef(name=name)
    call = pb.FuseRequest(model=model).SerializeToString() or b"\xff"
    config = pb.StreamConfig(model=model)
    first = pb.FuseStreamRequest(config=config).SerializeToString()
    expected = name if by_model and name else None
    for method, behavior, messages in ((FUSE, unary, [call]), (FUSE_STREAM, stream, [first, b"x"])):
        seen.clear()
        answers, error = called(Door(by_model=by_model), behavior, method, *messages)
        assert error is None
        assert answers == [b"answer"] * len(messages)
        assert seen == [(message, expected) for message in messages]


def test_other_methods_are_not_taken() -> None:
    details: Any = type("Details", (), {"method": "/crossfuse.v1.AdminService/LoadModel"})
    assert Door(by_model=False).service(details) is None


def test_a_replica_forwards_bytes_and_statuses(server: Any, make: Any) -> None:
    request = make.request()
    plain = server.fuse(request)

    async def forward() -> None:
        forwarder = Forwarder(server.address, "replica-1")
        good, bad, ended = Call(), Call(), Call()
        payload = await forwarder.unary(FUSE, request.SerializeToString(), good)
        answer = pb.FuseResponse.FromString(payload.SerializeToString())
        assert answer.fused == plain.fused
        assert (good.code, good.trailing) == (None, [(REPLICA, "replica-1")])

        payload = await forwarder.unary(FUSE, b"\xff", bad)
        status = carried(bad.details)
        assert payload.SerializeToString() == b""
        assert bad.code is grpc.StatusCode.INVALID_ARGUMENT
        assert status is not None
        assert "1 bytes that cannot be decoded" in status.message

        async def messages() -> AsyncIterator[bytes]:
            yield pb.FuseStreamRequest(config=pb.StreamConfig()).SerializeToString()
            yield b"\xff"

        answers = [each async for each in forwarder.stream(FUSE_STREAM, messages(), ended)]
        assert [each.SerializeToString() for each in answers] == [b""]
        assert ended.code is grpc.StatusCode.INVALID_ARGUMENT

    asyncio.run(forward())


def test_metadata_of_the_call_goes_along_and_that_of_the_hop_does_not() -> None:
    seen: list[dict[str, Any]] = []

    async def forward() -> None:
        async def remember(_: bytes, context: Any) -> bytes:
            seen.append(dict(context.invocation_metadata()))
            return b""

        inside = grpc.aio.server()
        handler = grpc.method_handlers_generic_handler(
            "crossfuse.v1.FusionService", {"Fuse": grpc.unary_unary_rpc_method_handler(remember)}
        )
        inside.add_generic_rpc_handlers((handler,))
        port = inside.add_insecure_port("127.0.0.1:0")
        await inside.start()
        call = Call(authorization="Bearer x", application="app", traceparent="t")
        call.metadata.append((PEER, "ipv4:203.0.113.9:1"))  # a caller's own claim
        await Forwarder(f"127.0.0.1:{port}", "r").unary(FUSE, b"", call)
        await inside.stop(None)

    asyncio.run(forward())
    (metadata,) = seen
    assert metadata["authorization"] == "Bearer x"
    assert metadata["traceparent"] == "t"
    assert metadata[PEER] == "ipv4:192.0.2.1:4242"
    assert "application" not in metadata


def test_the_end_of_the_questions_is_told_once_until_they_begin_again() -> None:
    now = 0.0
    checks = HealthChecks(lambda: now)

    def after(seconds: float) -> bool:
        nonlocal now
        now += seconds
        return checks.have_ended()

    assert not after(1000)  # nobody has asked yet
    for pause in (0, 2, 1, 2):
        now += pause
        checks.note()
        assert not after(0)
    assert not after(5)
    assert after(2)
    assert not after(1000)
    checks.note()
    assert not after(5)
    assert after(2)
