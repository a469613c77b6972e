"""The service put together for gRPC, and how reflection finds its messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import grpc
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pool import Default, DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from crossfuse.oip import DESCRIPTOR, POOL, SERVICE, method_path
from crossfuse_server.oip.message import InferMessage, undecodable
from crossfuse_server.oip.parameters import NotOffered
from crossfuse_server.oip.servicer import InferenceServicer

INFER = "ModelInfer"
STREAM_INFER = "ModelStreamInfer"


def add_to_server(servicer: InferenceServicer, server: grpc.Server) -> None:
    """Serve every method of the protocol; those not offered say so."""
    handlers = {method.name: _handler(servicer, method) for method in DESCRIPTOR.methods}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))


def reflection_pool(services: Iterable[str]) -> DescriptorPool:
    """The definitions of these services and of this one; they are in two pools."""
    pool = DescriptorPool()
    for service in services:
        _add_file(Default().FindFileContainingSymbol(service), pool)
    _add_file(POOL.FindFileContainingSymbol(SERVICE), pool)
    return pool


def _add_file(file: FileDescriptor, pool: DescriptorPool) -> None:
    for needed in file.dependencies:
        _add_file(needed, pool)
    pool.AddSerializedFile(file.serialized_pb)


def _handler(servicer: InferenceServicer, method: Any) -> grpc.RpcMethodHandler[Any, Any]:
    behavior = getattr(servicer, method.name, None)
    if behavior is None:
        # As a stream: refused before its message is read.
        return grpc.stream_stream_rpc_method_handler(partial(_refuse, method.name))
    make = (
        grpc.stream_stream_rpc_method_handler
        if method.client_streaming
        else grpc.unary_unary_rpc_method_handler
    )
    return make(
        behavior,
        request_deserializer=_deserializer(method),
        response_serializer=GetMessageClass(method.output_type).SerializeToString,
    )


def _deserializer(method: Any) -> Callable[[bytes], Any]:
    if method.name in (INFER, STREAM_INFER):
        return InferMessage
    return partial(_decode, GetMessageClass(method.input_type))


def _decode(kind: Any, data: bytes) -> Any:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise undecodable(len(data), str(error), kind.DESCRIPTOR.name) from None


def _refuse(name: str, messages: Any, context: grpc.ServicerContext) -> Any:
    raise NotOffered(f"{method_path(name)}: got a call; valid: the calls named in docs/oip.md")
