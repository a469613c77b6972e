"""The one place where errors become statuses, and calls are counted and logged."""

from __future__ import annotations

import logging
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

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


class Calls:
    """How many calls of each method ended with which status, and how many are under way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._ended: Counter[tuple[str, str]] = Counter()
        self._active = 0

    def begin(self) -> None:
        """A call starts."""
        with self._lock:
            self._active += 1

    def end(self, method: str, status: str) -> None:
        """A call is over."""
        with self._lock:
            self._active -= 1
            self._ended[method, status] += 1
            self._idle.notify_all()

    def wait_until_idle(self, timeout: float) -> bool:
        """Whether all calls ended within the time."""
        with self._lock:
            return self._idle.wait_for(lambda: self._active == 0, timeout)

    def ended(self) -> dict[tuple[str, str], int]:
        """(method, status) -> number of calls."""
        with self._lock:
            return dict(self._ended)


def to_status(error: Exception) -> Status:
    """The status of an error.

    Faults get an incident id instead of their text, which may hold paths and is of no use to a
    caller; the text and the traceback go to the log under the same id.
    """
    if isinstance(error, CrossFuseError) and error.grpc_status != "INTERNAL":
        code: grpc.StatusCode = grpc.StatusCode[error.grpc_status]
        status = Status(code=code.value[0], message=str(error))
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
    log.error("incident %s", incident, exc_info=error)
    return Status(
        code=grpc.StatusCode.INTERNAL.value[0],
        message=f"a fault in the server, incident {incident}; its log says more",
    )


def as_status(error: Exception) -> grpc.Status:
    """The status of an error, in the form that ends a call."""
    return rpc_status.to_status(to_status(error))


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
        wire = {
            "request_deserializer": _forgiving(handler.request_deserializer),
            "response_serializer": handler.response_serializer,
        }
        if handler.unary_unary is not None:
            answer = handler.unary_unary

            def unary(request: Any, context: grpc.ServicerContext) -> Any:
                with _Call(self._calls, method, context):
                    return answer(_decoded(request), context)

            return grpc.unary_unary_rpc_method_handler(unary, **wire)

        answers = handler.stream_stream
        assert answers is not None, "the service has unary and bidirectional methods only"

        def stream(requests: Iterator[Any], context: grpc.ServicerContext) -> Iterator[Any]:
            with _Call(self._calls, method, context):
                yield from answers(map(_decoded, requests), context)

        return grpc.stream_stream_rpc_method_handler(stream, **wire)


@dataclass(frozen=True)
class _Undecodable:
    """Stands for a message that is not of its type; gRPC itself would answer with INTERNAL."""

    size: int
    reason: str


def _forgiving(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any]:
    def decode(data: bytes) -> Any:
        assert deserialize is not None, "generated handlers have a deserializer"
        try:
            return deserialize(data)
        except DecodeError as error:
            return _Undecodable(len(data), str(error))

    return decode


def _decoded(request: Any) -> Any:
    if isinstance(request, _Undecodable):
        raise InvalidInput(
            "message",
            f"{request.size} bytes that cannot be decoded ({request.reason})",
            "a message of crossfuse/v1/fusion.proto",
        )
    return request


class _Call:
    """One call: counts it, and turns the error that ends it into its status."""

    def __init__(self, calls: Calls, method: str, context: grpc.ServicerContext) -> None:
        self._calls = calls
        self._method = method
        self._context = context

    def __enter__(self) -> None:
        self._calls.begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: Any
    ) -> None:
        if error is None or isinstance(error, GeneratorExit):
            ended = "OK" if self._context.is_active() else "CANCELLED"
            self._calls.end(self._method, ended)
            return
        if not isinstance(error, Exception):
            self._calls.end(self._method, "CANCELLED")
            return
        status = to_status(error)
        name = _name_of(status.code)
        self._calls.end(self._method, name)
        log.info("%s: %s: %s", self._method, name, status.message)
        self._abort(status)

    def _abort(self, status: Status) -> NoReturn:
        self._context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("abort_with_status raises")


def _name_of(code: int) -> str:
    return next(status.name for status in grpc.StatusCode if status.value[0] == code)
