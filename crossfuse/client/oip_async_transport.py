"""The transport to a server that speaks the Open Inference Protocol, for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any

from crossfuse import oip
from crossfuse.client.connection import Connection
from crossfuse.client.grpc_async_transport import AsyncConnection
from crossfuse.client.oip_messages import (
    OUR_SERVER,
    OipFrames,
    fuse_response,
    infer_request,
    list_models,
    mapping_of,
    server_info,
)
from crossfuse.v1 import fusion_pb2 as pb


class AsyncOipTransport:
    """One connection, to `crossfuse serve` or to Triton."""

    def __init__(self, connection: Connection) -> None:
        self._wire = AsyncConnection(connection)
        self._max_pixels = connection.max_pixels

    async def fuse(self, request: pb.FuseRequest, timeout: float) -> pb.FuseResponse:
        """Fuse one pair."""
        message = await asyncio.to_thread(
            infer_request,
            request.model,
            request.request_id,
            request,
            mapping_of(request.options),
            self._max_pixels,
        )
        return fuse_response(await self._call("ModelInfer", message, timeout), request)

    async def fuse_stream(
        self, requests: AsyncIterator[pb.FuseStreamRequest], timeout: float | None
    ) -> AsyncGenerator[pb.FuseStreamResponse, None]:
        """Answer the frames in order."""
        frames = OipFrames((await anext(requests)).config, self._max_pixels)
        method = self._wire.channel.stream_stream(
            oip.method_path("ModelStreamInfer"),
            request_serializer=oip.ModelInferRequest.SerializeToString,
            response_deserializer=oip.ModelStreamInferResponse.FromString,
        )
        messages = _as_requests(frames, requests)
        async with aclosing(self._wire.stream(method, messages, timeout)) as answers:
            async for answer in answers:
                yield await asyncio.to_thread(frames.response, answer)

    async def get_server_info(self, timeout: float) -> pb.GetServerInfoResponse:
        """What the server is, as far as the protocol tells."""
        metadata = await self._call("ServerMetadata", oip.ServerMetadataRequest(), timeout)
        ready = await self._call("ServerReady", oip.ServerReadyRequest(), timeout)
        return server_info(metadata, ready.ready, await self.list_models(timeout))

    async def list_models(self, timeout: float) -> pb.ListModelsResponse:
        """The server's models."""
        metadata = await self._call("ServerMetadata", oip.ServerMetadataRequest(), timeout)
        index = await self._call("RepositoryIndex", oip.RepositoryIndexRequest(), timeout)
        return list_models(index, default=metadata.name == OUR_SERVER)

    async def close(self) -> None:
        """End every call and let go of the connection."""
        await self._wire.close()

    async def _call(self, name: str, request: Any, timeout: float) -> Any:
        method = self._wire.channel.unary_unary(
            oip.method_path(name),
            request_serializer=type(request).SerializeToString,
            response_deserializer=oip.response_class(name).FromString,
        )
        return await self._wire.call(method, request, timeout)


async def _as_requests(
    frames: OipFrames, messages: AsyncIterator[pb.FuseStreamRequest]
) -> AsyncIterator[Any]:
    async for message in messages:
        yield await asyncio.to_thread(frames.request, message)
