"""FuseStream: one reader, one dispatcher and the answering handler around a frame window.

    reader      messages from the client -> window.push (waits for room: back-pressure)
    dispatcher  window.take -> decode -> model queue -> window.settle
    handler     window.answers -> encode -> messages to the client

Pictures are decoded when their turn comes, so a frame that is dropped costs next to nothing.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import grpc

from crossfuse.errors import CrossFuseError, DeadlineExceeded, InvalidInput, NotReady
from crossfuse.streaming import (
    BlockingWindow,
    Counters,
    Dropped,
    DropReason,
    Failed,
    Frame,
    Fused,
    Outcome,
    StreamRules,
)
from crossfuse.streaming.brightness import look_at
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.admission import Admission, FrameBytes
from crossfuse_server.convert import Converter
from crossfuse_server.first_message import DRAINING
from crossfuse_server.host import ModelHost
from crossfuse_server.jobs import Inference, Job
from crossfuse_server.recorder import Pair, Recorder, current_request_id
from crossfuse_server.stream_answers import FusedPair, StreamAnswers
from crossfuse_server.timeline import DECODE, QUEUE, Timeline, arrived_at
from crossfuse_server.views import LiveView

# One frame runs while the next is being decoded and queued. More would only age in the queue,
# where DropPolicy.OLDEST cannot reach them.
FRAMES_IN_ENGINE = 2

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Received:
    """A frame that came, and what is noted of it."""

    message: pb.StreamFrame
    record: Pair


class FrameStream:
    """The work of one FuseStream call."""

    def __init__(
        self,
        host: ModelHost,
        wanted: pb.ModelRef,
        converter: Converter,
        rules: StreamRules,
        admission: Admission,
        *,
        client: str,
        priority: int,
        recorder: Recorder,
        parent: str,
    ) -> None:
        self._host = host
        self._wanted = wanted
        self._bundle = host.get(wanted.name, wanted.version).bundle
        self._converter = converter
        self._bytes = FrameBytes(admission, lambda: not self._window.closed)
        self._client = client
        self._priority = priority
        self._recorder = recorder
        self._parent = parent
        self._request_id = current_request_id()
        self._window: BlockingWindow[Received, FusedPair] = BlockingWindow(rules)
        self._unanswered: deque[tuple[Pair, int]] = deque()
        self._in_engine = threading.Semaphore(FRAMES_IN_ENGINE)
        self._inferences: set[Future[Inference]] = set()
        self._lock = threading.Lock()
        self._cancelled = False
        self._complete = False
        self._end: Exception | None = None
        self.view = LiveView(wanted.name)

    @property
    def counters(self) -> Counters:
        """What became of the frames so far."""
        return self._window.counters

    def run(
        self, requests: Iterator[pb.FuseStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.FuseStreamResponse]:
        """Answer every frame in order; raises what ended the stream early, after the answers."""
        if not context.add_callback(self._cancel):
            return
        answers = StreamAnswers(self._converter, self._recorder)
        try:
            for work in (self._dispatch, lambda: self._read(requests)):
                threading.Thread(target=work, name="stream", daemon=True).start()
            for answer in self._window.answers():
                response = answers.response(answer, *self._unanswered.popleft())
                self._bytes.let_go(1)
                self.view.show(response)
                yield response
        finally:
            self._cancel()
            self._bytes.end()
            self.view.end()
            for record, _ in list(self._unanswered):
                self._recorder.end(record, "CANCELLED")
            log.info("a stream ended: %s", self.counters)
        if self._end is not None and not self._complete:
            raise self._end

    def drain(self) -> None:
        """Take no more frames; those inside are answered, then the stream ends."""
        self._stop(NotReady(DRAINING))

    def _cancel(self) -> None:
        """Let go of everything; frames that wait for the model leave its queue."""
        self._window.cancel()
        with self._lock:
            self._cancelled = True
            inferences = list(self._inferences)
        for inference in inferences:
            inference.cancel()

    def _stop(self, reason: Exception) -> None:
        self._end = reason
        self._window.close()

    def _read(self, requests: Iterator[pb.FuseStreamRequest]) -> None:
        try:
            for request in requests:
                if request.WhichOneof("message") != "frame":
                    self._stop(
                        InvalidInput(
                            "message",
                            request.WhichOneof("message") or "an empty message",
                            "a frame; the config is sent once, as the first message",
                        )
                    )
                    return
                record = self._record(request.frame.frame_id)
                if not self._bytes.let_in(request.frame.ByteSize()):
                    return
                self._unanswered.append((record, request.frame.capture_time_us))
                received = Received(request.frame, record)
                del record
                if not self._window.push(request.frame.frame_id, received):
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

    def _record(self, frame_id: int) -> Pair:
        """The record of a frame that has just been read; its wait begins."""
        record = Pair(
            "stream",
            f"{self._request_id}#{frame_id}",
            timeline=Timeline(arrived_at()),
            parent=self._parent,
        )
        record.of_model(self._bundle)
        record.timeline.enter(QUEUE)
        return record

    def _submit(self, frame: Frame[Received]) -> None:
        """Decode a frame and queue it, each for the model that serves at this moment."""
        message, record = frame.payload.message, frame.payload.record
        record.timeline.enter(DECODE)
        model = self._host.hold(self._wanted.name, self._wanted.version)
        try:
            self._bundle = model.bundle
            record.of_model(model.bundle)
            manifest = model.bundle.manifest
            pair = self._converter.read_pair(
                message.ir, message.vis, manifest.minimum_size, record.timeline
            )
            look = look_at(pair.ir, pair.vis) if manifest.head == "minmax" else None
            record.timeline.enter(QUEUE)
            job = Job(
                pair.ir,
                pair.vis,
                client=self._client,
                expires_at=frame.expires_at,
                priority=self._priority,
                bounded=False,
            )
            inference = model.queue.submit(job)
        except BaseException:
            model.release()
            raise

        def done(inference: Future[Inference]) -> None:
            model.release()
            with self._lock:
                self._inferences.discard(inference)
            error = _error_of(inference)
            if error is None:
                fused = FusedPair(inference.result(), model.bundle, pair.grey, look)
                self._settle(frame, Fused(fused))
            elif isinstance(error, DeadlineExceeded):
                self._settle(frame, Dropped(DropReason.DEADLINE))
            else:
                self._settle(frame, Failed(error))

        with self._lock:
            self._inferences.add(inference)
            cancelled = self._cancelled
        if cancelled:
            inference.cancel()
        inference.add_done_callback(done)

    def _settle(self, frame: Frame[Received], outcome: Outcome[FusedPair]) -> None:
        self._window.settle(frame, outcome)
        self._in_engine.release()


def _error_of(inference: Future[Inference]) -> Exception | None:
    """Why there is no picture; asked without raising, so that the error holds no frame of ours."""
    if inference.cancelled():  # with the stream: nobody will hear it
        return NotReady(DRAINING)
    error = inference.exception()
    assert error is None or isinstance(error, Exception)
    return error
