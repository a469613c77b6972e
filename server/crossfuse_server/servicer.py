"""The FusionService: each method converts, calls and converts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc

from crossfuse._version import __version__
from crossfuse.engines.devices import available_cpus
from crossfuse.errors import InvalidInput, NotReady
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc
from crossfuse_server.admission import Admission, current_call
from crossfuse_server.convert import Converter, write_model, write_timings
from crossfuse_server.first_message import FirstMessage
from crossfuse_server.gate import Claim, Gate
from crossfuse_server.host import ModelHost
from crossfuse_server.information import STATES, write_info
from crossfuse_server.jobs import Job
from crossfuse_server.logs import LONGEST_REQUEST_ID
from crossfuse_server.models import ServedModel, State
from crossfuse_server.open_streams import OpenStreams
from crossfuse_server.options import CallOptions, read_options, read_rules
from crossfuse_server.recorder import Recorder, current_pair
from crossfuse_server.settings import ServerSettings
from crossfuse_server.streams import FrameStream
from crossfuse_server.timeline import ENCODE, QUEUE
from crossfuse_server.waiting import remaining, wait_for


class FusionServicer(fusion_pb2_grpc.FusionServiceServicer):
    """Answers the calls of crossfuse.v1.FusionService."""

    def __init__(
        self,
        settings: ServerSettings,
        host: ModelHost,
        admission: Admission,
        state: Callable[[], State],
        recorder: Recorder,
        open_streams: OpenStreams,
    ) -> None:
        self._settings = settings
        self._open_streams = open_streams
        self._recorder = recorder
        self._admission = admission
        self._host = host
        self._state = state
        self._started = time.monotonic()
        self._gate = Gate(settings.decoders or available_cpus())

    def Fuse(self, request: pb.FuseRequest, context: grpc.ServicerContext) -> pb.FuseResponse:
        """Fuse one pair."""
        record = current_pair()
        timeline = record.timeline
        if len(request.request_id) > LONGEST_REQUEST_ID:
            raise InvalidInput(
                "request_id",
                f"{len(request.request_id)} characters",
                f"at most {LONGEST_REQUEST_ID}",
            )
        admitted = current_call()
        options = read_options(request.options)
        with self._held(request.model) as model:
            record.of_model(model.bundle)
            left = remaining(context)
            expires_at = math.inf if left is None else time.monotonic() + left
            claim = Claim(admitted.client, expires_at, context.is_active)
            converter = self._converter(options, claim)
            queue = model.queue
            queue.check_room(admitted.client, expires_at, options.priority)
            pair = converter.read_pair(
                request.ir, request.vis, model.bundle.manifest.minimum_size, timeline
            )
            admitted.carry(pair.ir.nbytes + pair.vis.nbytes)
            timeline.enter(QUEUE)
            # Not kept in a name: an error that comes out of it holds this frame, and would with
            # it hold the pictures in a cycle.
            inference = wait_for(
                queue.submit(
                    Job(
                        pair.ir,
                        pair.vis,
                        client=admitted.client,
                        expires_at=expires_at,
                        priority=options.priority,
                    )
                ),
                context,
            )
        record.ran(inference)
        timeline.enter(ENCODE)
        response = pb.FuseResponse(request_id=request.request_id)
        converter.write_image(response.fused, inference.fused, timeline, grey=pair.grey)
        write_model(response.model, model.bundle.manifest.name, model.bundle.manifest.version)
        timeline.close()
        write_timings(response.timings, timeline, record.batch_size)
        return response

    def FuseStream(
        self, request_iterator: Iterator[pb.FuseStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.FuseStreamResponse]:
        """Fuse the frames of a stream, in order."""
        first = FirstMessage(request_iterator)
        client = self._admission.identify(context)
        with self._open_streams.place(first, client) as becomes:
            stream = self._open_stream(first.wait(), client, context)
            becomes(stream)
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
                max_queue_bytes=settings.queue_bytes,
            ),
            models=self._infos(),
            uptime_s=time.monotonic() - self._started,
            runtime=", ".join(self._runtimes()),
            warnings=self._host.warnings,
        )

    def ListModels(
        self, request: pb.ListModelsRequest, context: grpc.ServicerContext
    ) -> pb.ListModelsResponse:
        """The models, the default one first."""
        return pb.ListModelsResponse(models=self._infos())

    def _open_stream(
        self, first: pb.FuseStreamRequest | None, client: str, context: grpc.ServicerContext
    ) -> FrameStream:
        if first is None or first.WhichOneof("message") != "config":
            came = None if first is None else first.WhichOneof("message")
            raise InvalidInput(
                "message", came or "nothing", "a StreamConfig as the first message of a stream"
            )
        config = first.config
        self._check_not_draining()
        model = self._host.get(config.model.name, config.model.version)
        _ = model.queue  # a stream of a model that is not ready is refused
        options = read_options(config.options)
        return FrameStream(
            self._host,
            config.model,
            self._converter(options, Claim(client), held=True),
            read_rules(config, self._settings.max_in_flight),
            self._admission,
            client=client,
            priority=options.priority,
            parent=self._recorder.parent_of(context),
            recorder=self._recorder,
        )

    def _check_not_draining(self) -> None:
        if self._state() is State.DRAINING:
            raise NotReady("the server is draining; valid: another server")

    @contextmanager
    def _held(self, reference: pb.ModelRef) -> Iterator[ServedModel]:
        """The model a call means; it stays while the call has it."""
        self._check_not_draining()
        model = self._host.hold(reference.name, reference.version)
        try:
            yield model
        finally:
            model.release()

    def _converter(self, options: CallOptions, claim: Claim, *, held: bool = False) -> Converter:
        return Converter(
            options,
            gate=self._gate,
            claim=claim,
            max_pixels=self._settings.max_pixels,
            held=held,
        )

    def _runtimes(self) -> list[str]:
        """What the models that are loaded run on, each once."""
        descriptions = (model.descriptions for model in self._host.models)
        return list(dict.fromkeys(one.runtime for of in descriptions for one in of))

    def _infos(self) -> list[pb.ModelInfo]:
        default, *others = self._host.models
        return [write_info(default, True), *(write_info(model, False) for model in others)]
