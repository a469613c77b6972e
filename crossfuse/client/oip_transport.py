"""The transport to a server that speaks the Open Inference Protocol, blocking."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import grpc

from crossfuse import oip
from crossfuse.client.connection import Connection
from crossfuse.client.grpc_transport import open_channel
from crossfuse.client.oip_messages import (
    OUR_SERVER,
    OipFrames,
    fuse_response,
    infer_request,
    list_models,
    mapping_of,
    server_info,
)
from crossfuse.client.statuses import error_of_call
from crossfuse.v1 import fusion_pb2 as pb


class OipTransport:
    """One connection, to `crossfuse serve` or to Triton."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._channel = open_channel(connection)

    def fuse(self, request: pb.FuseRequest, timeout: float) -> pb.FuseResponse:
        """Fuse one pair."""
        message = infer_request(
            request.model,
            request.request_id,
            request,
            mapping_of(request.options),
            self._connection.max_pixels,
        )
        return fuse_response(self._call("ModelInfer", message, timeout), request)

    def fuse_stream(
        self, requests: Iterator[pb.FuseStreamRequest], timeout: float | None
    ) -> Generator[pb.FuseStreamResponse, None, None]:
        """Answer the frames in order; gRPC takes them from `requests` in a thread of its own."""
        frames = OipFrames(next(requests).config, self._connection.max_pixels)
        method: Any = self._channel.stream_stream(
            oip.method_path("ModelStreamInfer"),
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelStreamInferResponse.FromString,
        )
        call = method(
            map(frames.request, requests), timeout=timeout, metadata=self._connection.metadata
        )
        try:
            for answer in call:
                yield frames.response(answer)
        except grpc.RpcError as error:
            raise error_of_call(error, self._connection.target) from error
        finally:
            call.cancel()

    def get_server_info(self, timeout: float) -> pb.GetServerInfoResponse:
        """What the server is, as far as the protocol tells."""
        metadata = self._call("ServerMetadata", oip.ServerMetadataRequest(), timeout)
        ready = self._call("ServerReady", oip.ServerReadyRequest(), timeout).ready
        return server_info(metadata, ready, self.list_models(timeout))

    def list_models(self, timeout: float) -> pb.ListModelsResponse:
        """The server's models."""
        metadata = self._call("ServerMetadata", oip.ServerMetadataRequest(), timeout)
        index = self._call("RepositoryIndex", oip.RepositoryIndexRequest(), timeout)
        return list_models(index, default=metadata.name == OUR_SERVER)

    def close(self) -> None:
        """End every call and let go of the connection."""
        self._channel.close()

    def _call(self, name: str, request: Any, timeout: float) -> Any:
        method: Any = self._channel.unary_unary(
            oip.method_path(name),
            request_serializer=type(request).SerializeToString,
            response_deserializer=oip.response_class(name).FromString,
        )
        try:
            return method(request, timeout=timeout, metadata=self._connection.metadata)
        except grpc.RpcError as error:
            raise error_of_call(error, self._connection.target) from error
