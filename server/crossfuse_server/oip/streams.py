"""ModelStreamInfer: many requests under way on one call, answered in the order they came.

As in FuseStream, a reader fills a window of frames, a dispatcher decodes them when their turn
comes, and the handler writes the answers (crossfuse_server/streams.py). Nothing is dropped: when
the window is full, or the bytes of all streams, the stream is not read from.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import grpc

from crossfuse.bundles import Manifest
from crossfuse.errors import CrossFuseError, NotReady
from crossfuse.oip import ModelStreamInferResponse
from crossfuse.streaming import Answer, BlockingWindow, Failed, Frame, Fused, Outcome, StreamRules
from crossfuse_server.admission import Admission, FrameBytes
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
from crossfuse_server.streams import FRAMES_IN_ENGINE
from crossfuse_server.timeline import DECODE, QUEUE

# The protocol has only a text for what is wrong with one request of a stream; the name of the
# status goes beside it, where clients that do not know it do not look.
STATUS_PARAMETER = "crossfuse_status"

# That no other answer to the request follows; in Triton there may be several.
FINAL_PARAMETER = "triton_final_response"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """A request that came, and what is noted of it."""

    message: InferMessage
    record: Pair


@dataclass(frozen=True, slots=True)
class Result:
    """What the model made of the pairs of one request."""

    inferences: list[Inference]
    manifest: Manifest


class InferStream:
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
        self._host = host
        self._settings = settings
        self._recorder = recorder
        self._client = client
        self._parent = parent
        self._bytes = FrameBytes(admission, lambda: not self._window.closed)
        rules = StreamRules(max_in_flight=settings.max_in_flight)
        self._window: BlockingWindow[Received, Result] = BlockingWindow(rules)
        self._unanswered: deque[Pair] = deque()
        self._in_engine = threading.Semaphore(FRAMES_IN_ENGINE)
        self._under_way: set[Inferences] = set()
        self._lock = threading.Lock()
        self._cancelled = False
        self._complete = False
        self._end: Exception | None = None

    def run(self, messages: Iterator[InferMessage], context: grpc.ServicerContext) -> Iterator[Any]:
        """Answer every request in order; raises what ended the stream early, after the answers."""
        if not context.add_callback(self._cancel):
            return
        try:
            for work in (self._dispatch, partial(self._read, messages)):
                threading.Thread(target=work, name="stream", daemon=True).start()
            for answer in self._window.answers():
                response = self._response(answer, self._unanswered.popleft())
                del answer
                self._bytes.let_go(1)
                yield response
        finally:
            self._cancel()
            self._bytes.end()
            for record in tuple(self._unanswered):
                self._recorder.end(record, grpc.StatusCode.CANCELLED.name)
            log.info("an inference stream ended: %s", self._window.counters)
        if self._end is not None and not self._complete:
            raise self._end

    def drain(self) -> None:
        """Take no more requests; those inside are answered, then the stream ends."""
        self._stop(NotReady(DRAINING))

    def _cancel(self) -> None:
        """Let go of everything; what waits for a model leaves its queue."""
        self._window.cancel()
        with self._lock:
            self._cancelled = True
            under_way = list(self._under_way)
        for inferences in under_way:
            inferences.cancel()

    def _stop(self, reason: Exception) -> None:
        self._end = reason
        self._window.close()

    def _read(self, messages: Iterator[InferMessage]) -> None:
        try:
            for number, message in enumerate(messages):
                record = Pair("oip", message.request_id, parent=self._parent)
                record.timeline.enter(QUEUE)
                if not self._bytes.let_in(message.weight):
                    return
                self._unanswered.append(record)
                if not self._window.push(number, Received(message, record)):
                    return
        except CrossFuseError as error:
            self._stop(error)
        except Exception:  # the call is over: cancelled, or past its deadline
            self._cancel()
        else:
            self._complete = True
            self._window.close()

    def _dispatch(self) -> None:
        while True:
            self._in_engine.acquire()
            frame = self._window.take()
            if frame is None:
                return
            try:
                self._submit(frame)
            except Exception as error:
                self._settle(frame, Failed(error))

    def _submit(self, frame: Frame[Received]) -> None:
        """Decode a request and queue its pairs, for the model that serves at this moment."""
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
        with self._lock:
            self._under_way.add(inferences)
            cancelled = self._cancelled
        if cancelled:
            inferences.cancel()
        inferences.add_done_callback(partial(self._done, frame, model))

    def _done(self, frame: Frame[Received], model: ServedModel, inferences: Inferences) -> None:
        model.release()
        with self._lock:
            self._under_way.discard(inferences)
        # Asked without raising, so that the error holds no frame of ours.
        error = NotReady(DRAINING) if inferences.cancelled() else inferences.exception()
        if error is None:
            self._settle(frame, Fused(Result(inferences.result(), model.bundle.manifest)))
        else:
            assert isinstance(error, Exception)
            self._settle(frame, Failed(error))

    def _settle(self, frame: Frame[Received], outcome: Outcome[Result]) -> None:
        self._window.settle(frame, outcome)
        self._in_engine.release()

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
