"""Around every handler: where it runs, who may call it, and what becomes of its errors."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from crossfuse.errors import InvalidInput
from crossfuse_server.admission import Admission
from crossfuse_server.calls import Calls
from crossfuse_server.logs import LONGEST_REQUEST_ID
from crossfuse_server.one_call import OneCall
from crossfuse_server.pools import FUSE_STREAM, FUSING, OURS, REFLECTION, Pools
from crossfuse_server.recorder import Pair, Recorder
from crossfuse_server.statuses import as_status
from crossfuse_server.timeline import Timeline, message_is_in

Context: TypeAlias = grpc.ServicerContext
Decode: TypeAlias = Callable[[bytes], Any]
Answer: TypeAlias = Callable[[Any, grpc.ServicerContext], Any]

# How long one caller may ask for the schema.
REFLECTION_SECONDS = 60.0


class ErrorInterceptor(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs only
    """Wraps every handler: errors that leave it become statuses, and are counted and logged."""

    def __init__(
        self,
        calls: Calls,
        pools: Pools,
        admission: Admission,
        max_message_bytes: int,
        recorder: Recorder,
    ) -> None:
        self._calls = calls
        self._recorder = recorder
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
        if not method.startswith(OURS):
            return self._foreign(handler, method)
        # Messages arrive as bytes: gRPC would decode them in the one thread that serves all
        # connections, and answer INTERNAL when they cannot be decoded.
        decode = partial(_decode, handler.request_deserializer)
        if handler.unary_unary is None:
            assert handler.stream_stream is not None, "unary and bidirectional methods only"
            answers = partial(self._stream, method, decode, handler.stream_stream)
            # The config of our own streams has no answer.
            unanswered = int(method == FUSE_STREAM)
            return self._patient(answers, method, handler.response_serializer, unanswered)
        # Unary calls are handled as streams: so they can be refused before their message is read,
        # and ended when it does not come.
        answer = self._fuse if method in FUSING else self._unary
        return self._patient(
            partial(answer, method, decode, handler.unary_unary),
            method,
            handler.response_serializer,
        )

    def _unary(
        self,
        method: str,
        decode: Decode,
        answer: Answer,
        messages: Iterator[bytes],
        context: Context,
    ) -> Iterator[Any]:
        with self._call(method, context):
            yield answer(decode(self._pools.patience.message(messages)), context)

    def _fuse(
        self,
        method: str,
        decode: Decode,
        answer: Answer,
        messages: Iterator[bytes],
        context: Context,
    ) -> Iterator[Any]:
        """The unary call that has a place to wait for, and pictures."""
        pair = Pair(FUSING[method], parent=self._recorder.parent_of(context))
        with self._call(method, context, pair), self._admission.call(context) as admitted:
            data = self._pools.patience.message(messages)
            pair.timeline = Timeline()
            if len(data) > self._max_message_bytes:
                raise InvalidInput(
                    "message", f"{len(data)} bytes", f"at most {self._max_message_bytes}"
                )
            admitted.carry(len(data))
            request = decode(data)
            del data
            pair.request_id = request.request_id[:LONGEST_REQUEST_ID] or pair.request_id
            yield answer(request, context)

    def _stream(
        self,
        method: str,
        decode: Decode,
        answers: Answer,
        messages: Iterator[bytes],
        context: Context,
    ) -> Iterator[Any]:
        with self._call(method, context):
            received = self._pools.patience.messages(messages)
            yield from answers(map(decode, received), context)

    def _call(
        self, method: str, context: grpc.ServicerContext, pair: Pair | None = None
    ) -> OneCall:
        return OneCall(self._calls, self._recorder, method, context, pair)

    def _foreign(
        self, handler: grpc.RpcMethodHandler[Any, Any], method: str
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """Health and reflection, with their own statuses, in the threads they may use."""
        if handler.stream_stream is not None:
            behavior = handler.stream_stream
            if method.startswith(REFLECTION):
                behavior = partial(_for_a_while, behavior)
            return grpc.stream_stream_rpc_method_handler(
                self._in_its_pool(partial(behavior), method),
                handler.request_deserializer,
                handler.response_serializer,
            )
        answers = handler.unary_stream
        if answers is None:
            assert handler.unary_unary is not None, "no method has a stream of requests alone"
            answers = partial(_one_answer, handler.unary_unary)
        decode = partial(_decode, handler.request_deserializer)
        return self._patient(
            partial(self._after_message, decode, answers), method, handler.response_serializer
        )

    def _after_message(
        self, decode: Decode, answers: Answer, messages: Iterator[bytes], context: Context
    ) -> Iterator[Any]:
        try:
            request = decode(self._pools.patience.message(messages))
        except InvalidInput as error:
            context.abort_with_status(as_status(error))
        yield from answers(request, context)

    def _patient(
        self,
        answers: Answer,
        method: str,
        serialize: Callable[[Any], bytes] | None,
        unanswered: int | None = None,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """A handler whose call is ended when its caller lets it wait."""
        pool = self._pools.of(method)
        return grpc.stream_stream_rpc_method_handler(
            self._pools.patience.answering(answers, pool, unanswered=unanswered),
            response_serializer=serialize,
        )

    def _in_its_pool(self, behavior: partial[Any], method: str) -> Any:
        """The way gRPC offers to choose the threads of a method."""
        settable: Any = behavior
        settable.experimental_thread_pool = self._pools.of(method)
        return settable


def _one_answer(answer: Answer, request: Any, context: Context) -> Iterator[Any]:
    yield answer(request, context)


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
    message_is_in()
    try:
        return deserialize(data)
    except DecodeError as error:
        raise InvalidInput(
            "message",
            f"{len(data)} bytes that cannot be decoded ({error})",
            "a message of crossfuse/v1/fusion.proto",
        ) from None
