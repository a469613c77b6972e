"""The transport to a real server, blocking."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from crossfuse.client.connection import Connection
from crossfuse.client.statuses import error_of_call
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc


class GrpcTransport:
    """One connection, made at the first call and again at the first call after it broke."""

    def __init__(self, connection: Connection) -> None:
        self._address = connection.target
        self._metadata = connection.metadata
        self._channel = open_channel(connection)
        # Generated without annotations.
        self._stub: Any = fusion_pb2_grpc.FusionServiceStub(self._channel)  # type: ignore[no-untyped-call]

    def fuse(self, request: pb.FuseRequest, timeout: float) -> pb.FuseResponse:
        """Fuse one pair."""
        response: pb.FuseResponse = self._call(self._stub.Fuse, request, timeout)
        return response

    def fuse_stream(
        self, requests: Iterator[pb.FuseStreamRequest], timeout: float | None
    ) -> Generator[pb.FuseStreamResponse, None, None]:
        """Answer the frames in order; gRPC takes them from `requests` in a thread of its own."""
        call = self._stub.FuseStream(requests, timeout=timeout, metadata=self._metadata)
        try:
            yield from call
        except grpc.RpcError as error:
            raise error_of_call(error, self._address) from error
        finally:
            call.cancel()

    def get_server_info(self, timeout: float) -> pb.GetServerInfoResponse:
        """What the server is."""
        request = pb.GetServerInfoRequest()
        response: pb.GetServerInfoResponse = self._call(self._stub.GetServerInfo, request, timeout)
        return response

    def list_models(self, timeout: float) -> pb.ListModelsResponse:
        """The server's models."""
        request = pb.ListModelsRequest()
        response: pb.ListModelsResponse = self._call(self._stub.ListModels, request, timeout)
        return response

    def close(self) -> None:
        """End every call and let go of the connection."""
        self._channel.close()

    def _call(self, method: Any, request: Message, timeout: float) -> Any:
        try:
            return method(request, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            raise error_of_call(error, self._address) from error


def open_channel(connection: Connection) -> grpc.Channel:
    """The way to the server; nothing is sent yet."""
    if connection.tls is None:
        return grpc.insecure_channel(connection.target, options=connection.options)
    return grpc.secure_channel(
        connection.target, connection.tls.credentials(), options=connection.options
    )
