"""The transport to a real server, for asyncio."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from crossfuse.client.connection import Connection
from crossfuse.client.errors import CallCancelled
from crossfuse.client.statuses import error_of_call
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc


class AsyncConnection:
    """One connection, made at the first call and again at the first call after it broke."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._credentials = None if connection.tls is None else connection.tls.credentials()
        self._channel: grpc.aio.Channel | None = None

    @property
    def channel(self) -> grpc.aio.Channel:
        """Made when the first call is, since a channel belongs to the running loop."""
        if self._channel is None:
            target, options = self.connection.target, self.connection.options
            if self._credentials is None:
                self._channel = grpc.aio.insecure_channel(target, options=options)
            else:
                self._channel = grpc.aio.secure_channel(target, self._credentials, options=options)
        return self._channel

    async def call(self, method: Any, request: Message, timeout: float) -> Any:
        """Make a unary call."""
        with self._client_errors():
            return await method(request, timeout=timeout, metadata=self.connection.metadata)

    async def stream(
        self, method: Any, requests: AsyncIterator[Any], timeout: float | None
    ) -> AsyncGenerator[Any, None]:
        """Make a bidirectional call; `requests` is read in a task of its own."""
        call = method(timeout=timeout, metadata=self.connection.metadata)
        ending = _Ending(call)
        sender = asyncio.create_task(_send(requests, call))
        try:
            with self._client_errors():
                try:
                    async for response in call:
                        yield response
                except grpc.RpcError as error:
                    raise await ending.told_by_server(error) from error
        finally:
            sender.cancel()
            call.cancel()
            await asyncio.wait([sender])

    async def close(self) -> None:
        """End every call and let go of the connection."""
        if self._channel is not None:
            await self._channel.close(None)

    @contextlib.contextmanager
    def _client_errors(self) -> Iterator[None]:
        """Raises the client's errors in place of gRPC's."""
        try:
            yield
        except grpc.RpcError as error:
            raise error_of_call(error, self.connection.target) from error
        except asyncio.CancelledError:
            # gRPC ends the calls of a closed channel this way too; a task that nobody cancelled
            # must not seem to have been.
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise CallCancelled(
                f"the call to {self.connection.target} was cancelled: closed"
            ) from None


class AsyncGrpcTransport:
    """Speaks crossfuse.v1 over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._wire = AsyncConnection(connection)
        self._known_stub: Any = None

    async def fuse(self, request: pb.FuseRequest, timeout: float) -> pb.FuseResponse:
        """Fuse one pair."""
        response: pb.FuseResponse = await self._wire.call(self._stub.Fuse, request, timeout)
        return response

    def fuse_stream(
        self, requests: AsyncIterator[pb.FuseStreamRequest], timeout: float | None
    ) -> AsyncGenerator[pb.FuseStreamResponse, None]:
        """Answer the frames in order."""
        return self._wire.stream(self._stub.FuseStream, requests, timeout)

    async def get_server_info(self, timeout: float) -> pb.GetServerInfoResponse:
        """What the server is."""
        request = pb.GetServerInfoRequest()
        response: pb.GetServerInfoResponse = await self._wire.call(
            self._stub.GetServerInfo, request, timeout
        )
        return response

    async def list_models(self, timeout: float) -> pb.ListModelsResponse:
        """The server's models."""
        request = pb.ListModelsRequest()
        response: pb.ListModelsResponse = await self._wire.call(
            self._stub.ListModels, request, timeout
        )
        return response

    async def close(self) -> None:
        """End every call and let go of the connection."""
        await self._wire.close()

    @property
    def _stub(self) -> Any:
        """The calls; made when the first one is, as the channel is."""
        if self._known_stub is None:
            # Generated without annotations.
            self._known_stub = fusion_pb2_grpc.FusionServiceStub(self._wire.channel)  # type: ignore[no-untyped-call]
        return self._known_stub


class _Ending:
    """The status with which the server ended a stream.

    When a write meets a call that the server has just ended, grpc.aio reports an internal error
    in place of the server's status (grpc issue 36066). It does tell of each status, though, so
    the first one that is not its own invention can be kept.
    """

    INVENTED = "Internal error from Core"
    LONGEST_WAIT = 1.0

    def __init__(self, call: Any) -> None:
        self._status: asyncio.Future[grpc.RpcError] = asyncio.get_running_loop().create_future()
        call.add_done_callback(self._note)

    async def told_by_server(self, seen: grpc.RpcError) -> grpc.RpcError:
        """The error in place of the one that was seen; that one where the server told none."""
        await asyncio.wait([self._status], timeout=self.LONGEST_WAIT)
        return self._status.result() if self._status.done() else seen

    def _note(self, call: Any) -> None:
        coroutine = _error_of(call)
        try:
            coroutine.send(None)  # the call has its status, so nothing in there waits
        except StopIteration as finished:
            error: grpc.aio.AioRpcError = finished.value
            if error.details() != self.INVENTED and not self._status.done():
                self._status.set_result(error)


async def _error_of(call: Any) -> grpc.aio.AioRpcError:
    trailing = await call.trailing_metadata()
    return grpc.aio.AioRpcError(
        await call.code(), grpc.aio.Metadata(), trailing, await call.details(), None
    )


async def _send(requests: AsyncIterator[Any], call: Any) -> None:
    """Write the requests; a call that is over says why where its answers are read."""
    with contextlib.suppress(grpc.RpcError, asyncio.InvalidStateError):
        async for request in requests:
            await call.write(request)
        await call.done_writing()
