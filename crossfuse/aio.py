"""The asynchronous client: the twin of `crossfuse.FusionClient`, with the same options and errors.

    async with crossfuse.aio.FusionClient("localhost:8001") as client:
        fused = await client.fuse(ir, vis)
        async for result in client.stream(pairs):
            show(result.image)

Pictures are encoded and decoded in threads, so that the event loop stays free. A client belongs
to the event loop in which its first call is made.
"""

from __future__ import annotations

import asyncio
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Awaitable,
    Callable,
    Iterable,
)
from types import TracebackType
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from crossfuse.client.answers import read_model, read_result, read_server_info
from crossfuse.client.async_stream_messages import AsyncStreamMessages, in_threads
from crossfuse.client.base import DEFAULT_TIMEOUT, BaseClient
from crossfuse.client.connection import DEFAULT_TARGET, TlsOptions
from crossfuse.client.errors import ClientError
from crossfuse.client.frames import StreamItem, StreamLedger
from crossfuse.client.grpc_async_transport import AsyncGrpcTransport
from crossfuse.client.local_transport import AsyncLocalTransport as LocalTransport
from crossfuse.client.oip_async_transport import AsyncOipTransport
from crossfuse.client.oip_options import CROSSFUSE, OIP
from crossfuse.client.requests import Homography, fuse_request
from crossfuse.client.results import FuseResult, ModelInfo, ServerInfo, StreamResult
from crossfuse.client.retries import DEFAULT_RETRIES, WITHOUT_END, Attempts
from crossfuse.client.transports import AsyncTransport as Transport
from crossfuse.images import DEFAULT_MAPPING, DEFAULT_MAX_PIXELS, IrMapping, Pixels

__all__ = ["FusionClient", "LocalTransport", "Transport"]

AnswerT = TypeVar("AnswerT")


class FusionClient(BaseClient):
    """Fuses pictures on a CrossFuse server; everything is as in `crossfuse.FusionClient`."""

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout: float = DEFAULT_TIMEOUT,
        retries: int = DEFAULT_RETRIES,
        token: str | None = None,
        tls: TlsOptions | bool = False,
        max_pixels: int = DEFAULT_MAX_PIXELS,
        protocol: str = CROSSFUSE,
        transport: Transport | None = None,
    ) -> None:
        super().__init__(
            target,
            timeout=timeout,
            retries=retries,
            token=token,
            tls=tls,
            max_pixels=max_pixels,
            protocol=protocol,
            replaced=transport is not None,
        )
        speak = AsyncOipTransport if protocol == OIP else AsyncGrpcTransport
        self._transport: Transport = transport or speak(self._connection)

    async def fuse(
        self,
        ir: Pixels,
        vis: NDArray[np.uint8],
        *,
        timeout: float | None = None,
        model: str | None = None,
        homography: Homography | None = None,
        ir_mapping: str | IrMapping = DEFAULT_MAPPING,
        ir_polarity: str = "white-hot",
        encoding: str = "raw",
    ) -> NDArray[np.uint8]:
        """Fuse ir, uint8 or uint16 HxW, and vis, uint8 HxWx3 RGB or HxW, into uint8 like vis."""
        result = await self.fuse_with_details(
            ir,
            vis,
            timeout=timeout,
            model=model,
            homography=homography,
            ir_mapping=ir_mapping,
            ir_polarity=ir_polarity,
            encoding=encoding,
        )
        return result.image

    async def fuse_with_details(
        self,
        ir: Pixels,
        vis: NDArray[np.uint8],
        *,
        timeout: float | None = None,
        model: str | None = None,
        homography: Homography | None = None,
        ir_mapping: str | IrMapping = DEFAULT_MAPPING,
        ir_polarity: str = "white-hot",
        encoding: str = "raw",
    ) -> FuseResult:
        """As `fuse`, but with the model that was used, the server's timings and the request id."""
        attempts = self._attempts(timeout)
        options = self._options(model, homography, ir_mapping, ir_polarity, encoding)
        request = await asyncio.to_thread(fuse_request, options, ir, vis)
        response = await self._call(lambda left: self._transport.fuse(request, left), attempts)
        return await asyncio.to_thread(read_result, response, vis.shape)

    def stream(
        self,
        pairs: AsyncIterable[StreamItem] | Iterable[StreamItem],
        *,
        model: str | None = None,
        homography: Homography | None = None,
        ir_mapping: str | IrMapping = DEFAULT_MAPPING,
        ir_polarity: str = "white-hot",
        encoding: str = "raw",
        max_in_flight: int | None = None,
        drop: str = "none",
        frame_deadline: float | None = None,
        timeout: float | None = None,
        reconnect: float = 0.0,
    ) -> AsyncGenerator[StreamResult, None]:
        """Fuse the pictures of a video: one result per pair, in order.

        pairs: asynchronous, or blocking, which is then read in threads. Leaving the loop early
        ends the call as soon as the generator is closed: at once with `contextlib.aclosing`.
        """
        self._check(timeout)
        options = self._options(model, homography, ir_mapping, ir_polarity, encoding)
        ledger = self._ledger(options, max_in_flight, drop, frame_deadline, reconnect)
        source = aiter(pairs) if isinstance(pairs, AsyncIterable) else in_threads(iter(pairs))
        return self._results(AsyncStreamMessages(ledger, source), ledger, timeout, reconnect)

    async def server_info(self, *, timeout: float | None = None) -> ServerInfo:
        """What the server is: state, limits, version and models."""
        attempts = self._attempts(timeout)
        return read_server_info(await self._call(self._transport.get_server_info, attempts))

    async def models(self, *, timeout: float | None = None) -> list[ModelInfo]:
        """The server's models, the default one first."""
        response = await self._call(self._transport.list_models, self._attempts(timeout))
        return list(map(read_model, response.models))

    async def health(self, *, timeout: float | None = None) -> str:
        """loading, serving, draining or failed; ServerUnreachable where no server answers."""
        return (await self.server_info(timeout=timeout)).state

    async def close(self) -> None:
        """End what is under way and let go of the connection."""
        self._closed = True
        await self._transport.close()

    async def __aenter__(self) -> FusionClient:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _call(
        self, call: Callable[[float], Awaitable[AnswerT]], attempts: Attempts
    ) -> AnswerT:
        while True:
            try:
                return await call(attempts.remaining())
            except ClientError as error:
                pause = attempts.pause_after(error)
            await asyncio.sleep(pause)

    async def _results(
        self,
        requests: AsyncStreamMessages,
        ledger: StreamLedger,
        timeout: float | None,
        reconnect: float,
    ) -> AsyncGenerator[StreamResult, None]:
        async def check(left: float) -> None:
            ledger.check_ready(await self._transport.list_models(left))

        attempts = self._attempts(timeout)
        await self._call(check, attempts)
        again: Attempts | None = None
        try:
            while True:
                left = None if timeout is None else attempts.remaining()
                responses = self._transport.fuse_stream(aiter(requests), left)
                try:
                    async for response in responses:
                        again = None  # the time to reconnect counts from the last answer
                        result = await asyncio.to_thread(ledger.receive, response)
                        requests.make_room()
                        yield result
                    break
                except ClientError as error:
                    if not reconnect:
                        raise
                    again = again or Attempts(WITHOUT_END, reconnect)
                    pause = again.pause_after(error)
                finally:
                    await responses.aclose()
                for lost in ledger.give_up_old():
                    requests.make_room()
                    yield lost
                await asyncio.sleep(pause)
        finally:
            await requests.end()
        if requests.failure is not None:
            raise requests.failure
        ledger.check_complete()
