"""The one place where errors become statuses, and calls are counted and logged."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NoReturn, Self

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import DecodeError
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from crossfuse.errors import CrossFuseError, InvalidInput, OutOfMemory, Overloaded

log = logging.getLogger(__name__)

# Long enough for a batch that did not fit to be gone.
RETRY_AFTER_OUT_OF_MEMORY = 0.5

# A status travels in headers, twice, and peers take no more than 8 KB of them.
LONGEST_MESSAGE = 1500

LONGEST_REQUEST_ID = 128


class Calls:
    """How many calls of each method ended with which status, and how many are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._ended: Counter[tuple[str, str]] = Counter()
        self._active = 0

    def begin(self, context: grpc.ServicerContext) -> None:
        """A call starts; it is under way until its answer has left."""
        with self._lock:
            self._active += 1
        if not context.add_callback(self._leave):
            self._leave()

    def end(self, method: str, status: str) -> None:
        """The outcome of a call is known."""
        with self._lock:
            self._ended[method, status] += 1

    def _leave(self) -> None:
        with self._lock:
            self._active -= 1
            self._idle.notify_all()

    def wait_until_idle(self, timeout: float) -> bool:
        """Whether all calls ended within the time."""
        with self._lock:
            return self._idle.wait_for(lambda: self._active == 0, timeout)

    def total_when_idle(self) -> int | None:
        """How many calls ended so far; None while any is under way."""
        with self._lock:
            return None if self._active else self._ended.total()

    def ended(self) -> dict[tuple[str, str], int]:
        """(method, status) -> number of calls."""
        with self._lock:
            return dict(self._ended)


def to_status(error: Exception, where: str) -> Status:
    """The status of an error; `where` tells the log in which call it happened.

    Faults get an incident id instead of their text, which may hold paths and is of no use to a
    caller; the text and the traceback go to the log under the same id.
    """
    if isinstance(error, CrossFuseError) and error.grpc_status != "INTERNAL":
        code: grpc.StatusCode = grpc.StatusCode[error.grpc_status]
        status = Status(code=code.value[0], message=_bounded(str(error)))
        retry_after = None
        if isinstance(error, Overloaded):
            retry_after = error.retry_after
        elif isinstance(error, OutOfMemory):
            retry_after = RETRY_AFTER_OUT_OF_MEMORY
        if retry_after is not None:
            detail = AnyMessage()
            info = RetryInfo()
            info.retry_delay.FromNanoseconds(int(retry_after * 1e9))
            detail.Pack(info)
            status.details.append(detail)
        return status
    incident = secrets.token_hex(4)
    log.error("incident %s in %s", incident, where, exc_info=error)
    return Status(
        code=grpc.StatusCode.INTERNAL.value[0],
        message=f"a fault in the server, incident {incident}; its log says more",
    )


def _bounded(message: str) -> str:
    kept = message.encode()[:LONGEST_MESSAGE].decode(errors="ignore")
    return message if len(kept) == len(message) else f"{kept}..."


def as_status(error: Exception) -> grpc.Status:
    """The status of an error, in the form that ends a call."""
    return rpc_status.to_status(to_status(error, "a call"))


class ErrorInterceptor(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs only
    """Wraps every handler: errors that leave it become statuses, and are counted and logged."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wrap the handler of one call."""
        handler = continuation(handler_call_details)
        method = handler_call_details.method
        if handler is None or not method.startswith("/crossfuse."):
            return handler
        # Messages arrive as bytes: gRPC would decode them in the one thread that serves all
        # connections, and answer INTERNAL when they cannot be decoded.
        decode = partial(_decode, handler.request_deserializer)
        if handler.unary_unary is not None:
            answer = handler.unary_unary

            def unary(data: bytes, context: grpc.ServicerContext) -> Any:
                with _Call(self._calls, method, context) as call:
                    request = decode(data)
                    call.request_id = getattr(request, "request_id", "")[:LONGEST_REQUEST_ID]
                    return answer(request, context)

            return grpc.unary_unary_rpc_method_handler(
                unary, response_serializer=handler.response_serializer
            )

        answers = handler.stream_stream
        assert answers is not None, "the service has unary and bidirectional methods only"

        def stream(messages: Iterator[bytes], context: grpc.ServicerContext) -> Iterator[Any]:
            with _Call(self._calls, method, context):
                yield from answers(map(decode, messages), context)

        return grpc.stream_stream_rpc_method_handler(
            stream, response_serializer=handler.response_serializer
        )


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
        self._end(_name_of(status.code))
        log.info("%s: %s: %s", where, _name_of(status.code), status.message)
        self._abort(status)

    def _end(self, status: str) -> None:
        """Count the call, as what its caller saw."""
        if not self._context.is_active():
            status = "CANCELLED" if self._context.time_remaining() > 0 else "DEADLINE_EXCEEDED"
        self._calls.end(self._method, status)

    def _abort(self, status: Status) -> NoReturn:
        self._context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("abort_with_status raises")


def _name_of(code: int) -> str:
    return next(status.name for status in grpc.StatusCode if status.value[0] == code)
