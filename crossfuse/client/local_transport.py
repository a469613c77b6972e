"""Transports without a network: a function of this process takes the place of the server.

    client = FusionClient(transport=LocalTransport(crossfuse.load("crossfuse-rt").fuse))
    client = FusionClient(transport=LocalTransport(lambda ir, vis, **options: vis))

What the function raises arrives as if a server had sent it: errors of crossfuse.client as they
are, other CrossFuse errors as those that stand for their status. Times given to calls are not
kept: a function cannot be interrupted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from typing import Protocol

import grpc
import numpy as np
from numpy.typing import NDArray

from crossfuse._version import __version__
from crossfuse.alignment import Matrix, parse_homography
from crossfuse.client.errors import ClientError, IncompatibleServer
from crossfuse.client.pictures import ENCODINGS, read_picture, write_picture
from crossfuse.client.requests import read_mapping
from crossfuse.client.statuses import error_of_status
from crossfuse.errors import CrossFuseError
from crossfuse.images import (
    DEFAULT_MAX_PIXELS,
    HeldMapping,
    IrMapping,
    Pixels,
    to_single_channel,
)
from crossfuse.images.infrared import BLACK_HOT, WHITE_HOT
from crossfuse.v1 import fusion_pb2 as pb

ADDRESS = "this process"
ENCODING_NAMES = {encoding: name for name, encoding in ENCODINGS.items()}


class FuseFunction(Protocol):
    """Takes what `Fuser.fuse` takes and returns the fused picture, uint8 of the shape of vis."""

    def __call__(
        self,
        ir: Pixels,
        vis: NDArray[np.uint8],
        *,
        homography: Matrix | None,
        ir_mapping: IrMapping,
        ir_polarity: str,
    ) -> NDArray[np.uint8]: ...


class LocalTransport:
    """Answers calls with a function."""

    def __init__(self, fuse: FuseFunction) -> None:
        self._fuse = fuse

    def fuse(self, request: pb.FuseRequest, timeout: float) -> pb.FuseResponse:
        """Fuse one pair."""
        response = pb.FuseResponse(request_id=request.request_id, model=request.model)
        try:
            work = _Work(self._fuse, request.options)
            work.run(request.ir, request.vis, response.fused)
        except CrossFuseError as error:
            raise _as_client_error(error) from error
        return response

    def fuse_stream(
        self, requests: Iterator[pb.FuseStreamRequest], timeout: float | None
    ) -> Generator[pb.FuseStreamResponse, None, None]:
        """Answer each frame when it comes; nothing is ever dropped."""
        config = next(requests).config
        work = _Work(self._fuse, config.options, held=True)
        for request in requests:
            yield work.answer(config.model, request.frame)

    def get_server_info(self, timeout: float) -> pb.GetServerInfoResponse:
        """A server that is ready and has no models of its own."""
        return pb.GetServerInfoResponse(version=__version__, state=pb.SERVING_STATE_SERVING)

    def list_models(self, timeout: float) -> pb.ListModelsResponse:
        """No models: the function is all there is."""
        return pb.ListModelsResponse()

    def close(self) -> None:
        """Nothing is held."""


class AsyncLocalTransport:
    """LocalTransport for asyncio; the function runs in threads."""

    def __init__(self, fuse: FuseFunction) -> None:
        self._fuse = fuse
        self._blocking = LocalTransport(fuse)

    async def fuse(self, request: pb.FuseRequest, timeout: float) -> pb.FuseResponse:
        """Fuse one pair."""
        return await asyncio.to_thread(self._blocking.fuse, request, timeout)

    async def fuse_stream(
        self, requests: AsyncIterator[pb.FuseStreamRequest], timeout: float | None
    ) -> AsyncGenerator[pb.FuseStreamResponse, None]:
        """Answer each frame when it comes; nothing is ever dropped."""
        config = (await anext(requests)).config
        work = _Work(self._fuse, config.options, held=True)
        async for request in requests:
            yield await asyncio.to_thread(work.answer, config.model, request.frame)

    async def get_server_info(self, timeout: float) -> pb.GetServerInfoResponse:
        """A server that is ready and has no models of its own."""
        return self._blocking.get_server_info(timeout)

    async def list_models(self, timeout: float) -> pb.ListModelsResponse:
        """No models: the function is all there is."""
        return self._blocking.list_models(timeout)

    async def close(self) -> None:
        """Nothing is held."""


class _Work:
    """The function with the options of a call or a stream; `held` keeps the mapping over frames."""

    def __init__(self, fuse: FuseFunction, options: pb.FuseOptions, *, held: bool = False) -> None:
        self._fuse = fuse
        self._encoding = ENCODING_NAMES[options.output_encoding]
        self._homography = parse_homography(options.homography) if options.homography else None
        self._mapping = read_mapping(options.ir_mapping)
        self._polarity = BLACK_HOT if options.ir_mapping.black_hot else WHITE_HOT
        self._held = HeldMapping(self._mapping, polarity=self._polarity) if held else None

    def run(self, ir: pb.Image, vis: pb.Image, fused: pb.Image) -> None:
        """Fill in the fused picture."""
        infrared = to_single_channel(
            read_picture(ir, field="ir", max_pixels=DEFAULT_MAX_PIXELS), None, field="ir"
        )
        visible = read_picture(vis, field="vis", max_pixels=DEFAULT_MAX_PIXELS)
        polarity = self._polarity
        if self._held is not None:
            infrared, polarity = self._held.apply(infrared), WHITE_HOT
        picture: object = self._fuse(
            infrared,
            visible.astype(np.uint8, copy=False),
            homography=self._homography,
            ir_mapping=self._mapping,
            ir_polarity=polarity,
        )
        if not isinstance(picture, np.ndarray) or picture.dtype != np.uint8:
            kind = getattr(picture, "dtype", type(picture).__name__)
            raise IncompatibleServer(f"fused: the function gave {kind}; valid: a uint8 array")
        write_picture(fused, picture, self._encoding)

    def answer(self, model: pb.ModelRef, frame: pb.StreamFrame) -> pb.FuseStreamResponse:
        """The answer to one frame of a stream."""
        response = pb.FuseStreamResponse(
            frame_id=frame.frame_id, capture_time_us=frame.capture_time_us
        )
        try:
            self.run(frame.ir, frame.vis, response.fused.image)
        except CrossFuseError as error:
            response.error.code = grpc.StatusCode[error.grpc_status].value[0]
            response.error.message = str(error)
        else:
            response.fused.model.CopyFrom(model)
        return response


def _as_client_error(error: CrossFuseError) -> ClientError:
    if isinstance(error, ClientError):
        return error
    code: grpc.StatusCode = grpc.StatusCode[error.grpc_status]
    return error_of_status(code, str(error), ADDRESS, from_service=True)
