"""The calls of inference.GRPCInferenceService, as far as this server offers them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from crossfuse.errors import CrossFuseError, NotReady
from crossfuse.oip import ModelReadyResponse, ServerLiveResponse, ServerReadyResponse
from crossfuse_server.admission import Admission, current_call
from crossfuse_server.host import ModelHost
from crossfuse_server.models import ServedModel, State
from crossfuse_server.observations import OK, Observations
from crossfuse_server.oip import describe
from crossfuse_server.oip.inference import jobs_of, note_run, submit_all
from crossfuse_server.oip.message import InferMessage
from crossfuse_server.oip.parameters import read_wishes
from crossfuse_server.oip.statistics import statistics
from crossfuse_server.oip.streams import InferStream
from crossfuse_server.oip.tensors import read_pairs, write_answer
from crossfuse_server.open_streams import OpenStreams
from crossfuse_server.recorder import Recorder, current_pair
from crossfuse_server.settings import ServerSettings
from crossfuse_server.timeline import QUEUE
from crossfuse_server.waiting import remaining, wait_for


class InferenceServicer:
    """Answers the calls of the Open Inference Protocol, through the queues of everybody."""

    def __init__(
        self,
        settings: ServerSettings,
        host: ModelHost,
        admission: Admission,
        state: Callable[[], State],
        recorder: Recorder,
        observations: Observations,
        open_streams: OpenStreams,
    ) -> None:
        self._settings = settings
        self._host = host
        self._admission = admission
        self._state = state
        self._recorder = recorder
        self._observations = observations
        self._open_streams = open_streams

    def ServerLive(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Whoever answers lives."""
        return ServerLiveResponse(live=True)

    def ServerReady(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Whether requests that name no model are served."""
        return ServerReadyResponse(ready=self._state() is State.SERVING)

    def ModelReady(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Whether a model serves; one that is unknown does not."""
        try:
            model = self._host.get(request.name, request.version)
        except CrossFuseError:
            return ModelReadyResponse(ready=False)
        serves = model.state is State.SERVING and self._state() is not State.DRAINING
        return ModelReadyResponse(ready=serves)

    def ServerMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """What this server is."""
        return describe.server_metadata()

    def ModelMetadata(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The tensors of a model."""
        model = self._host.get(request.name, request.version)
        return describe.model_metadata(model, self._versions(model))

    def ModelConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The configuration of a model."""
        model = self._host.get(request.name, request.version)
        return describe.model_config(model, self._versions(model), self._settings)

    def ModelStatistics(self, request: Any, context: grpc.ServicerContext) -> Any:
        """What one model, all versions of it or all models have done."""
        if request.name:
            self._host.get(request.name, request.version)  # for its error
        keys = [
            (manifest.name, str(manifest.version))
            for manifest in (model.bundle.manifest for model in self._host.models)
            if request.name in ("", manifest.name)
            and request.version in ("", str(manifest.version))
        ]
        return statistics(keys, self._observations.totals())

    def RepositoryIndex(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Every model with its state."""
        draining = self._state() is State.DRAINING
        return describe.repository_index(self._host.models, request, draining)

    def ModelInfer(self, message: InferMessage, context: grpc.ServicerContext) -> Any:
        """Fuse the pairs of one request."""
        record = current_pair()
        message.check_id()
        admitted = current_call()
        admitted.carry(message.growth)
        if self._state() is State.DRAINING:
            raise NotReady("the server is draining; valid: another server")
        request = message.decode()
        wishes = read_wishes(request)
        model = self._host.hold(request.model_name, request.model_version)
        try:
            manifest = model.bundle.manifest
            record.of_model(model.bundle)
            queue = model.queue
            left = remaining(context)
            expires_at = time.monotonic() + min(wishes.timeout, math.inf if left is None else left)
            queue.check_room(admitted.client, expires_at, wishes.priority)
            pairs = read_pairs(request, manifest, self._settings.max_batch)
            request.ClearField("inputs")
            request.ClearField("raw_input_contents")
            admitted.carry(pairs.ir.nbytes + pairs.vis.nbytes)
            jobs = jobs_of(
                pairs,
                minimum_size=manifest.minimum_size,
                max_pixels=self._settings.max_pixels,
                client=admitted.client,
                expires_at=expires_at,
                priority=wishes.priority,
            )
            record.timeline.enter(QUEUE)
            # As in FusionService.Fuse, not kept in a name.
            inferences = wait_for(submit_all(queue, jobs), context)
        finally:
            model.release()
        others = note_run(record, inferences)
        response = write_answer(request.id, manifest, [each.fused for each in inferences])
        record.timeline.close()
        for other in others:
            self._recorder.end(other, OK)
        return response

    def ModelStreamInfer(
        self, messages: Iterator[InferMessage], context: grpc.ServicerContext
    ) -> Iterator[Any]:
        """Fuse the requests of a stream, in order."""
        client = self._admission.identify(context)
        stream = InferStream(
            self._host,
            self._settings,
            self._admission,
            self._recorder,
            client=client,
            parent=self._recorder.parent_of(context),
        )
        with self._open_streams.place(stream, client):
            yield from stream.run(messages, context)

    def _versions(self, model: ServedModel) -> list[int]:
        name = model.bundle.manifest.name
        manifests = (other.bundle.manifest for other in self._host.models)
        return sorted(manifest.version for manifest in manifests if manifest.name == name)
