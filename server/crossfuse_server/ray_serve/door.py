"""What Ray's proxies register: the methods of the service, and what becomes of Ray's refusals.

Named in a Serve config file, in `grpc_options`:

    grpc_servicer_functions:
      - crossfuse_server.ray_serve.door.add_services

Ray puts its own behaviour, which hands a call to a replica, into every handler it is given. The
handlers here leave messages as the bytes they are, so that a proxy neither parses nor copies
pictures, and stand around that behaviour:

- A status of a replica gets its details back, such as the time after which to retry.
- Ray's own refusal of a call that finds all queues full becomes RESOURCE_EXHAUSTED with RetryInfo.
- A call whose replica died is UNAVAILABLE: fusing a pair twice harms nobody, so clients retry.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from crossfuse.errors import CrossFuseError, NotReady, Overloaded
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.ray_serve.carried import carried
from crossfuse_server.statuses import to_status

SERVICE = "/crossfuse.v1.FusionService/"
FUSE = SERVICE + "Fuse"
FUSE_STREAM = SERVICE + "FuseStream"
UNARY_METHODS = (
    FUSE,
    SERVICE + "GetServerInfo",
    SERVICE + "ListModels",
    "/grpc.health.v1.Health/Check",
)

# Where every replica has its share already, one is free again after about one pair.
RETRY_AFTER_FULL = 0.1

# Ray's words for a replica that ended while it had the call.
LOST = ("actor", "ActorDied", "ActorUnavailable", "worker died", "node died")

Behavior = Callable[..., Any]


def add_services(_: object, server: Any) -> None:
    """Register the methods with a proxy's server."""
    server.add_generic_rpc_handlers((Door(by_model=False),))


def add_multiplexed_services(_: object, server: Any) -> None:
    """The same, and calls go to replicas that have their model open where there are some."""
    server.add_generic_rpc_handlers((Door(by_model=True),))


class Door(grpc.GenericRpcHandler):  # type: ignore[type-arg]  # generic in its stubs only
    """Hands calls to Ray; `by_model` tells it which model a call is about."""

    def __init__(self, *, by_model: bool) -> None:
        self._by_model = by_model
        # Ray looks for this name, and replaces what it finds there by what calls a replica.
        self._method_handlers: dict[str, Any] = {
            method: grpc.unary_unary_rpc_method_handler(_unanswered) for method in UNARY_METHODS
        }
        self._method_handlers[FUSE_STREAM] = grpc.stream_stream_rpc_method_handler(_unanswered)

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        """The handler of one call."""
        method = str(handler_call_details.method)
        handler = self._method_handlers.get(method)
        if handler is None:
            return None
        if handler.request_streaming:
            return grpc.stream_stream_rpc_method_handler(self._stream(handler.stream_stream))
        by_model = self._by_model and method == FUSE
        return grpc.unary_unary_rpc_method_handler(_unary(handler.unary_unary, by_model))

    def _stream(self, behavior: Behavior) -> Behavior:
        by_model = self._by_model

        async def answer(messages: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
            if by_model:
                first = await anext(messages, b"")
                context = _OfModel(context, _model_of_stream(first))
                messages = _with_first(first, messages)
            async for response in behavior(messages, context):
                if response:  # else it brought a status
                    yield response
            _complete(context)

        return answer


def _unary(behavior: Behavior, by_model: bool) -> Behavior:
    async def answer(message: bytes, context: Any) -> bytes:
        if by_model:
            context = _OfModel(context, _model_of_call(message))
        response: bytes = await behavior(message, context)
        _complete(context)
        return response

    return answer


def _complete(context: Any) -> None:
    """Give the status of a call that failed its details."""
    code = context.code()
    if code in (0, grpc.StatusCode.OK):  # the first where nobody set one
        return
    text: str = context.details()
    status = carried(text)
    if status is None:
        refusal = _refusal(code, text)
        if refusal is None:
            if code is grpc.StatusCode.INTERNAL and any(word in text for word in LOST):
                context.set_code(grpc.StatusCode.UNAVAILABLE)
                context.set_details("the replica that had the call was lost; valid: a retry")
            return
        status = to_status(refusal, "a proxy")
    rich = rpc_status.to_status(status)
    context.set_code(rich.code)
    context.set_details(rich.details)
    context.set_trailing_metadata((*context.trailing_metadata(), *rich.trailing_metadata))


def _refusal(code: grpc.StatusCode, text: str) -> CrossFuseError | None:
    """Our error for one of Ray's, where there is one."""
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED:
        return Overloaded(
            "calls: got one more than all replicas take; valid: a retry after the time given",
            retry_after=RETRY_AFTER_FULL,
        )
    # The second is Ray's answer while nothing is deployed yet; that of a replica was carried.
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.NOT_FOUND):
        return NotReady(f"no replica can take calls: {text}")
    return None


def _model_of_call(message: bytes) -> str:
    try:
        return str(pb.FuseRequest.FromString(message).model.name)
    except DecodeError:  # the replica says what is wrong with it
        return ""


def _model_of_stream(message: bytes) -> str:
    try:
        return str(pb.FuseStreamRequest.FromString(message).config.model.name)
    except DecodeError:
        return ""


async def _with_first(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for message in rest:
        yield message


async def _unanswered(_: object, __: object) -> bytes:
    raise AssertionError("Ray puts what calls a replica in this place")


class _OfModel:
    """A call's context that says which model the call is about, in the way Ray asks for it."""

    def __init__(self, context: Any, model: str) -> None:
        self._context = context
        self._model = model

    def __getattr__(self, name: str) -> Any:
        return getattr(self._context, name)

    def invocation_metadata(self) -> tuple[tuple[str, Any], ...]:
        """What the caller sent; a name of its own choice for the model wins."""
        metadata: tuple[tuple[str, Any], ...] = tuple(self._context.invocation_metadata() or ())
        named = any(key == "multiplexed_model_id" for key, _ in metadata)
        # The default model is open everywhere: its calls may go anywhere.
        if named or not self._model:
            return metadata
        return (*metadata, ("multiplexed_model_id", self._model))
