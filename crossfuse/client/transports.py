"""What stands between a client and a server, and can be replaced.

A transport carries the messages of crossfuse.v1 and raises the errors of crossfuse.client. The
clients use GrpcTransport, or OipTransport where they are told so by `protocol`, unless they are
given another: LocalTransport needs no network.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Protocol

from crossfuse.v1 import fusion_pb2 as pb


class Transport(Protocol):
    """The calls of a server; times are in seconds."""

    def fuse(self, request: pb.FuseRequest, timeout: float) -> pb.FuseResponse:
        """Fuse one pair."""

    def fuse_stream(
        self, requests: Iterator[pb.FuseStreamRequest], timeout: float | None
    ) -> Generator[pb.FuseStreamResponse, None, None]:
        """Answer the frames in order; closing the generator ends the call."""

    def get_server_info(self, timeout: float) -> pb.GetServerInfoResponse:
        """What the server is."""

    def list_models(self, timeout: float) -> pb.ListModelsResponse:
        """The server's models."""

    def close(self) -> None:
        """End every call and let go of the connection."""


class AsyncTransport(Protocol):
    """The same with coroutines."""

    async def fuse(self, request: pb.FuseRequest, timeout: float) -> pb.FuseResponse:
        """Fuse one pair."""

    def fuse_stream(
        self, requests: AsyncIterator[pb.FuseStreamRequest], timeout: float | None
    ) -> AsyncGenerator[pb.FuseStreamResponse, None]:
        """Answer the frames in order; closing the generator ends the call."""

    async def get_server_info(self, timeout: float) -> pb.GetServerInfoResponse:
        """What the server is."""

    async def list_models(self, timeout: float) -> pb.ListModelsResponse:
        """The server's models."""

    async def close(self) -> None:
        """End every call and let go of the connection."""
