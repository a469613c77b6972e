"""Around every handler: where it runs, who may call it, and what becomes of its errors."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn, Self, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from crossfuse.errors import InvalidInput
from crossfuse_server.admission import Admission
from crossfuse_server.calls import Calls
from crossfuse_server.pools import FUSE, REFLECTION, Pools
from crossfuse_server.statuses import name_of, to_status

log = logging.getLogger(__name__)

LONGEST_REQUEST_ID = 128

Context: TypeAlias = grpc.ServicerContext
Decode: TypeAlias = Callable[[bytes], Any]
Answer: TypeAlias = Callable[[Any, grpc.ServicerContext], Any]

# How long one caller may ask for the schema.
REFLECTION_SECONDS = 60.0


class ErrorInterceptor(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs only
    """Wraps every handler: errors that leave it become statuses, and are counted and logged."""

    def __init__(
        self, calls: Calls, pools: Pools, admission: Admission, max_message_bytes: int
    ) -> None:
        self._calls = calls
        self._pools = pools
        self._admission = admission
        self._max_message_bytes = max_message_bytes

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler of one call."""
        handler = continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None:
            return None
        if not method.startswith("/crossfuse."):
            return self._foreign(handler, method)
        # Messages arrive as bytes: gRPC would decode them in the one thread that serves all
        # connections, and answer INTERNAL when they cannot be decoded.
        decode = partial(_decode, handler.request_deserializer)
        if handler.unary_unary is None:
            assert handler.stream_stream is not None, "unary and bidirectional methods only"
            answers = partial(self._stream, method, decode, handler.stream_stream)
        elif method == FUSE:
            answers = partial(self._fuse, method, decode, handler.unary_unary)
        else:
            answer = partial(self._unary, method, decode, handler.unary_unary)
            return grpc.unary_unary_rpc_method_handler(
                self._in_its_pool(answer, method), response_serializer=handler.response_serializer
            )
        return grpc.stream_stream_rpc_method_handler(
            self._in_its_pool(answers, method), response_serializer=handler.response_serializer
        )

    def _unary(
        self, method: str, decode: Decode, answer: Answer, data: bytes, context: Context
    ) -> Any:
        with _Call(self._calls, method, context):
            return answer(decode(data), context)

    def _fuse(
        self,
        method: str,
        decode: Decode,
        answer: Answer,
        messages: Iterator[bytes],
        context: Context,
    ) -> Iterator[Any]:
        """A unary call handled as a stream: so it can be refused before its message is read."""
        with _Call(self._calls, method, context) as call, self._admission.call(context) as admitted:
            data = next(messages, b"")
            if len(data) > self._max_message_bytes:
                raise InvalidInput(
                    "message", f"{len(data)} bytes", f"at most {self._max_message_bytes}"
                )
            admitted.carry(len(data))
            request = decode(data)
            del data
            call.request_id = request.request_id[:LONGEST_REQUEST_ID]
            yield answer(request, context)

    def _stream(
        self,
        method: str,
        decode: Decode,
        answers: Answer,
        messages: Iterator[bytes],
        context: Context,
    ) -> Iterator[Any]:
        with _Call(self._calls, method, context):
            yield from answers(map(decode, messages), context)

    def _foreign(
        self, handler: grpc.RpcMethodHandler[Any, Any], method: str
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """Health and reflection, with their own statuses, in the threads they may use."""
        for kind, make in (
            ("unary_unary", grpc.unary_unary_rpc_method_handler),
            ("unary_stream", grpc.unary_stream_rpc_method_handler),
            ("stream_stream", grpc.stream_stream_rpc_method_handler),
        ):
            behavior = getattr(handler, kind)
            if behavior is not None:
                if method.startswith(REFLECTION):
                    behavior = partial(_for_a_while, behavior)
                return make(
                    self._in_its_pool(partial(behavior), method),
                    handler.request_deserializer,
                    handler.response_serializer,
                )
        return handler

    def _in_its_pool(self, behavior: partial[Any], method: str) -> Any:
        """The way gRPC offers to choose the threads of a method."""
        settable: Any = behavior
        settable.experimental_thread_pool = self._pools.of(method)
        return settable


def _for_a_while(behavior: Answer, messages: Iterator[Any], context: Context) -> Iterator[Any]:
    end = threading.Timer(REFLECTION_SECONDS, context.cancel)
    end.daemon = True
    end.start()
    try:
        yield from behavior(messages, context)
    finally:
        end.cancel()


def _decode(deserialize: Callable[[bytes], Any] | None, data: bytes) -> Any:
    assert deserialize is not None, "generated handlers have a deserializer"
    try:
        return deserialize(data)
    except DecodeError as error:
        raise InvalidInput(
            "message",
            f"{len(data)} bytes that cannot be decoded ({error})",
            "a message of crossfuse/v1/fusion.proto",
        ) from None


class _Call:
    """One call: counts it, and turns the error that ends it into its status."""

    def __init__(self, calls: Calls, method: str, context: grpc.ServicerContext) -> None:
        self.request_id = ""
        self._calls = calls
        self._method = method
        self._context = context

    def __enter__(self) -> Self:
        self._calls.begin(self._context)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: Any
    ) -> None:
        # An RpcError comes out of the messages of a caller that went away.
        if not isinstance(error, Exception) or isinstance(error, grpc.RpcError):
            self._end("OK")
            return
        # As a literal: what a caller chose must not look like a line of this log.
        where = f"{self._method} {self.request_id!r}"
        status = to_status(error, where)
        self._end(name_of(status.code))
        log.info("%s: %s: %s", where, name_of(status.code), status.message)
        self._abort(status)

    def _end(self, status: str) -> None:
        """Count the call, as what its caller saw."""
        if not self._context.is_active():
            status = "CANCELLED" if self._context.time_remaining() > 0 else "DEADLINE_EXCEEDED"
        self._calls.end(self._method, status)

    def _abort(self, status: Status) -> NoReturn:
        self._context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("abort_with_status raises")
