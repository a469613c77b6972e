"""The FusionService: each method converts, calls and converts."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager
from functools import partial

import grpc
import onnxruntime

from crossfuse._version import __version__
from crossfuse.engines.onnx import available_cpus
from crossfuse.errors import DeadlineExceeded, InvalidInput, NotReady, Overloaded
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc
from crossfuse_server.convert import (
    Converter,
    read_options,
    read_rules,
    write_model,
    write_timings,
)
from crossfuse_server.first_message import FirstMessage
from crossfuse_server.interceptor import LONGEST_REQUEST_ID
from crossfuse_server.models import ModelHost, ServedModel, State
from crossfuse_server.queue import Inference
from crossfuse_server.settings import ServerSettings
from crossfuse_server.streams import FrameStream

STATES = {
    State.LOADING: pb.SERVING_STATE_LOADING,
    State.SERVING: pb.SERVING_STATE_SERVING,
    State.DRAINING: pb.SERVING_STATE_DRAINING,
    State.FAILED: pb.SERVING_STATE_FAILED,
}


class FusionServicer(fusion_pb2_grpc.FusionServiceServicer):
    """Answers the calls of crossfuse.v1.FusionService."""

    def __init__(
        self, settings: ServerSettings, host: ModelHost, state: Callable[[], State]
    ) -> None:
        self._settings = settings
        self._host = host
        self._state = state
        self._started = time.monotonic()
        self._gate = threading.Semaphore(settings.decoders or available_cpus())
        self._streams: set[FirstMessage | FrameStream] = set()
        self._streams_lock = threading.Lock()

    def Fuse(self, request: pb.FuseRequest, context: grpc.ServicerContext) -> pb.FuseResponse:
        """Fuse one pair."""
        started = time.monotonic()
        if len(request.request_id) > LONGEST_REQUEST_ID:
            raise InvalidInput(
                "request_id",
                f"{len(request.request_id)} characters",
                f"at most {LONGEST_REQUEST_ID}",
            )
        model = self._model(request.model)
        converter = self._converter(request.options, model)
        model.queue.check_room()
        pair = converter.read_pair(request.ir, request.vis)
        decoded = time.monotonic()
        remaining = _remaining(context)
        expires_at = math.inf if remaining is None else decoded + remaining
        inference = _wait(model.queue.submit(pair.ir, pair.vis, expires_at=expires_at), context)
        fused = time.monotonic()
        response = pb.FuseResponse(request_id=request.request_id)
        converter.write_image(response.fused, inference.fused, grey=pair.grey)
        ended = time.monotonic()
        write_model(response.model, model.bundle.manifest.name, model.bundle.manifest.version)
        write_timings(
            response.timings,
            inference,
            decode_time=decoded - started,
            encode_time=ended - fused,
            total_time=ended - started,
        )
        return response

    def FuseStream(
        self, request_iterator: Iterator[pb.FuseStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.FuseStreamResponse]:
        """Fuse the frames of a stream, in order."""
        first = FirstMessage(request_iterator)
        with self._counted(first):
            stream = self._open_stream(first.wait())
        with self._counted(stream):
            yield from stream.run(request_iterator, context)

    def GetServerInfo(
        self, request: pb.GetServerInfoRequest, context: grpc.ServicerContext
    ) -> pb.GetServerInfoResponse:
        """What this server is."""
        settings = self._settings
        return pb.GetServerInfoResponse(
            version=__version__,
            state=STATES[self._state()],
            limits=pb.ServerLimits(
                max_pixels=settings.max_pixels,
                max_message_bytes=settings.max_message_bytes,
                max_queue=settings.max_queue,
                max_in_flight=settings.max_in_flight,
            ),
            models=self._infos(),
            uptime_s=time.monotonic() - self._started,
            runtime=f"onnxruntime {onnxruntime.__version__}",
        )

    def ListModels(
        self, request: pb.ListModelsRequest, context: grpc.ServicerContext
    ) -> pb.ListModelsResponse:
        """The models, the default one first."""
        return pb.ListModelsResponse(models=self._infos())

    def drain(self) -> None:
        """Let every stream answer what it holds and end."""
        with self._streams_lock:
            streams = list(self._streams)
        for stream in streams:
            stream.drain()

    def _open_stream(self, first: pb.FuseStreamRequest | None) -> FrameStream:
        if first is None or first.WhichOneof("message") != "config":
            came = None if first is None else first.WhichOneof("message")
            raise InvalidInput(
                "message", came or "nothing", "a StreamConfig as the first message of a stream"
            )
        config = first.config
        model = self._model(config.model)
        reference = pb.ModelRef()
        write_model(reference, model.bundle.manifest.name, model.bundle.manifest.version)
        return FrameStream(
            reference,
            self._converter(config.options, model, held=True),
            model.queue,
            read_rules(config, self._settings.max_in_flight),
        )

    @contextmanager
    def _counted(self, stream: FirstMessage | FrameStream) -> Iterator[None]:
        """Count a stream, from its first moment on, and let `drain` find it."""
        with self._streams_lock:
            self._check_not_draining()
            if len(self._streams) >= self._settings.max_streams:
                raise Overloaded(
                    f"streams: got one more than the {self._settings.max_streams} this server "
                    "serves at once; valid: another server, or a retry when a stream has ended",
                    retry_after=1.0,
                )
            self._streams.add(stream)
        try:
            yield
        finally:
            with self._streams_lock:
                self._streams.discard(stream)

    def _check_not_draining(self) -> None:
        if self._state() is State.DRAINING:
            raise NotReady("the server is draining; valid: another server")

    def _model(self, reference: pb.ModelRef) -> ServedModel:
        self._check_not_draining()
        return self._host.get(reference.name, reference.version)

    def _converter(
        self, options: pb.FuseOptions, model: ServedModel, *, held: bool = False
    ) -> Converter:
        return Converter(
            read_options(options),
            gate=self._gate,
            max_pixels=self._settings.max_pixels,
            minimum_size=model.bundle.manifest.minimum_size,
            held=held,
        )

    def _infos(self) -> list[pb.ModelInfo]:
        return [_info(model, model is self._host.default) for model in self._host.models]


def _remaining(context: grpc.ServicerContext) -> float | None:
    """Seconds until the call's deadline; None without one, which gRPC tells as centuries."""
    remaining = context.time_remaining()
    return remaining if remaining < threading.TIMEOUT_MAX else None


def _wait(future: Future[Inference], context: grpc.ServicerContext) -> Inference:
    """The result; a call whose client went away, or ran out of time, gives its place up."""
    if not context.add_callback(partial(_give_up, future)):
        _give_up(future)
    try:
        return future.result(_remaining(context))
    except (CancelledError, FutureTimeoutError):
        _give_up(future)
        raise DeadlineExceeded(
            "deadline: passed before the pair was fused; valid: a longer one"
        ) from None
    finally:
        # An error that comes out of it holds this frame, and with it the pictures, in a cycle.
        del future


def _give_up(future: Future[Inference]) -> None:
    future.cancel()


def _info(model: ServedModel, is_default: bool) -> pb.ModelInfo:
    manifest = model.bundle.manifest
    info = pb.ModelInfo(
        state=STATES[model.state],
        message=model.message,
        is_default=is_default,
        architecture=manifest.architecture,
        minimum_size=manifest.minimum_size,
        devices=[description.device for description in model.descriptions],
        quality=dict(manifest.quality.metrics),
    )
    write_model(info.model, manifest.name, manifest.version)
    for description in model.descriptions[:1]:
        info.precision = description.precision
        info.sha256 = description.sha256
        info.provider = description.provider
    return info
