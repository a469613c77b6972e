"""ModelStreamInfer: many requests under way on one call, answered in the order they came.

Nothing is dropped: when the window is full, or the bytes of all streams, the stream is not read
from.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import Any

from crossfuse.bundles import Manifest
from crossfuse.errors import NotReady
from crossfuse.oip import STATUS_PARAMETER, ModelStreamInferResponse
from crossfuse.streaming import Answer, Failed, Frame, Fused, StreamRules
from crossfuse_server.admission import Admission
from crossfuse_server.first_message import DRAINING
from crossfuse_server.host import ModelHost
from crossfuse_server.jobs import Inference
from crossfuse_server.models import ServedModel
from crossfuse_server.observations import OK
from crossfuse_server.oip.inference import Inferences, jobs_of, note_run, submit_all
from crossfuse_server.oip.message import InferMessage
from crossfuse_server.oip.parameters import read_wishes
from crossfuse_server.oip.tensors import read_pairs, write_answer
from crossfuse_server.recorder import Pair, Recorder
from crossfuse_server.settings import ServerSettings
from crossfuse_server.statuses import name_of, to_status
from crossfuse_server.timeline import DECODE, QUEUE
from crossfuse_server.windowed import Received, WindowedStream

# That no other answer to the request follows; in Triton there may be several.
FINAL_PARAMETER = "triton_final_response"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Result:
    """What the model made of the pairs of one request."""

    inferences: list[Inference]
    manifest: Manifest


class InferStream(WindowedStream[InferMessage, Result]):
    """The work of one ModelStreamInfer call."""

    def __init__(
        self,
        host: ModelHost,
        settings: ServerSettings,
        admission: Admission,
        recorder: Recorder,
        *,
        client: str,
        parent: str,
    ) -> None:
        rules = StreamRules(max_in_flight=settings.max_in_flight)
        super().__init__(rules, admission, recorder, client)
        self._host = host
        self._settings = settings
        self._parent = parent

    def _take_in(self, number: int, message: InferMessage) -> bool:
        record = Pair("oip", message.request_id, parent=self._parent)
        record.timeline.enter(QUEUE)
        return self._hold(number, message, record, message.weight)

    def _submit(self, frame: Frame[Received[InferMessage]]) -> None:
        message, record = frame.payload.message, frame.payload.record
        record.request_id = message.request_id
        record.timeline.enter(DECODE)
        message.check_id()
        request = message.decode()
        wishes = read_wishes(request)
        model = self._host.hold(request.model_name, request.model_version)
        try:
            record.of_model(model.bundle)
            manifest = model.bundle.manifest
            jobs = jobs_of(
                read_pairs(request, manifest, self._settings.max_batch),
                minimum_size=manifest.minimum_size,
                max_pixels=self._settings.max_pixels,
                client=self._client,
                expires_at=frame.arrived_at + wishes.timeout,
                priority=wishes.priority,
                bounded=False,
            )
            record.timeline.enter(QUEUE)
            inferences = submit_all(model.queue, jobs)
        except BaseException:
            model.release()
            raise
        self._follow(inferences)
        inferences.add_done_callback(partial(self._done, frame, model))

    def _done(
        self,
        frame: Frame[Received[InferMessage]],
        model: ServedModel,
        inferences: Inferences,
    ) -> None:
        model.release()
        self._forget(inferences)
        # Asked without raising, so that the error holds no frame of ours.
        error = NotReady(DRAINING) if inferences.cancelled() else inferences.exception()
        if error is None:
            self._settle(frame, Fused(Result(inferences.result(), model.bundle.manifest)))
        else:
            assert isinstance(error, Exception)
            self._settle(frame, Failed(error))

    def _response(self, answer: Answer[Result], record: Pair) -> Any:
        """One answer; an error is that of its request alone."""
        outcome = answer.outcome
        if isinstance(outcome, Fused):
            result = outcome.result
            others = note_run(record, result.inferences)
            pictures = [each.fused for each in result.inferences]
            response = ModelStreamInferResponse()
            response.infer_response.CopyFrom(
                write_answer(record.request_id, result.manifest, pictures)
            )
            response.infer_response.parameters[FINAL_PARAMETER].bool_param = True
            for pair in (record, *others):
                self._recorder.end(pair, OK)
            return response
        assert isinstance(outcome, Failed), "nothing is dropped"
        status = to_status(outcome.error, f"request {answer.frame_id} of an inference stream")
        name = name_of(status.code)
        self._recorder.end(record, name)
        response = ModelStreamInferResponse(error_message=status.message)
        response.infer_response.id = record.request_id
        response.infer_response.parameters[STATUS_PARAMETER].string_param = name
        return response
