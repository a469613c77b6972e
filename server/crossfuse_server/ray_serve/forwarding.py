"""From a replica to the server inside it: bytes in, bytes out, statuses with their details."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol, TypeAlias

import grpc
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from crossfuse_server.ray_serve.carried import carry

# Which replica answered, for whoever looks for a slow one.
REPLICA = "crossfuse-replica"

# Who called, as the proxy saw it; the server inside sees only its replica.
PEER = "crossfuse-peer"

# Of one connection, not of the call.
HOP_KEYS = ("user-agent", "content-type", "te", "application", "multiplexed_model_id")

UNLIMITED = (("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1))

Metadata: TypeAlias = tuple[tuple[str, Any], ...]


class RayContext(Protocol):
    """What Ray lets a replica know and say of a call."""

    def invocation_metadata(self) -> list[tuple[str, Any]]: ...

    def peer(self) -> str: ...

    def set_code(self, code: grpc.StatusCode) -> None: ...

    def set_details(self, details: str) -> None: ...

    def set_trailing_metadata(self, metadata: list[tuple[str, Any]]) -> None: ...


class Payload:
    """A message that is bytes already, in the form Ray takes messages."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def SerializeToString(self) -> bytes:  # noqa: N802 - the name of protobuf
        """The bytes."""
        return self._data


class Forwarder:
    """Calls the server of this replica; make and use it in one event loop."""

    def __init__(self, address: str, replica: str) -> None:
        self._replica = replica
        # Its stubs ask for serializers, which bytes need not have.
        self._channel: Any = grpc.aio.insecure_channel(address, options=UNLIMITED)

    async def unary(self, method: str, message: bytes, context: RayContext) -> Payload:
        """Forward one call; a failure is a status in the context and an empty answer.

        Not an exception: Ray would write a traceback for every refused call.
        """
        context.set_trailing_metadata([(REPLICA, self._replica)])
        call = self._channel.unary_unary(method)
        answer: Awaitable[bytes] = call(message, metadata=_metadata(context))
        try:
            return Payload(await answer)
        except grpc.aio.AioRpcError as error:
            _tell(error, context)
            return Payload(b"")

    async def stream(
        self, method: str, messages: AsyncIterator[bytes], context: RayContext
    ) -> AsyncIterator[Payload]:
        """Forward a stream; what ends it early is a status, told with an empty answer."""
        call = self._channel.stream_stream(method)
        answers: Any = call(messages, metadata=_metadata(context))
        try:
            async for answer in answers:
                yield Payload(answer)
        except grpc.aio.AioRpcError as error:
            _tell(error, context)
            yield Payload(b"")
        finally:
            answers.cancel()


def _metadata(context: RayContext) -> Metadata:
    kept = (
        (key, value)
        for key, value in context.invocation_metadata()
        if key not in HOP_KEYS and key != PEER and not key.startswith(("grpc-", ":"))
    )
    return (*kept, (PEER, context.peer()))


def _tell(error: Any, context: RayContext) -> None:
    status = rpc_status.from_call(error)
    if status is None:
        status = Status(code=error.code().value[0], message=error.details() or "")
    context.set_code(error.code())
    context.set_details(carry(status))


def by_forwarded_peer(context: grpc.ServicerContext) -> str:
    """The address of the client that called the proxy, without its port."""
    peer = str(dict(context.invocation_metadata()).get(PEER, context.peer()))
    return peer.rpartition(":")[0]
