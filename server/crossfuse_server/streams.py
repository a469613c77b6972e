"""FuseStream: one reader, one dispatcher and the answering handler around a frame window.

    reader      messages from the client -> window.push (waits for room: back-pressure)
    dispatcher  window.take -> decode -> model queue -> window.settle
    handler     window.answers -> encode -> messages to the client

Pictures are decoded when their turn comes, so a frame that is dropped costs next to nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass

import grpc

from crossfuse.errors import CrossFuseError, DeadlineExceeded, InvalidInput, NotReady
from crossfuse.streaming import (
    Answer,
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
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.convert import Converter, write_timings
from crossfuse_server.first_message import DRAINING
from crossfuse_server.interceptor import to_status
from crossfuse_server.queue import Inference, ModelQueue

# One frame runs while the next is being decoded and queued. More would only age in the queue,
# where DropPolicy.OLDEST cannot reach them.
FRAMES_IN_ENGINE = 2

log = logging.getLogger(__name__)

DROPS = {
    DropReason.OVERRUN: (
        pb.DROP_REASON_OVERRUN,
        "newer frames needed the room; send fewer, or raise max_in_flight",
    ),
    DropReason.DEADLINE: (
        pb.DROP_REASON_DEADLINE,
        "it waited longer than the frame_deadline_us of the stream",
    ),
}


@dataclass(frozen=True, slots=True)
class _FusedPair:
    """What the model made of a frame, and the times around it in seconds."""

    inference: Inference
    grey: bool
    arrived_at: float
    decode_time: float


class FrameStream:
    """The work of one FuseStream call."""

    def __init__(
        self, model: pb.ModelRef, converter: Converter, queue: ModelQueue, rules: StreamRules
    ) -> None:
        self._model = model
        self._converter = converter
        self._queue = queue
        self._window: BlockingWindow[pb.StreamFrame, _FusedPair] = BlockingWindow(rules)
        self._capture_times: deque[int] = deque()
        self._in_engine = threading.Semaphore(FRAMES_IN_ENGINE)
        self._inferences: set[Future[Inference]] = set()
        self._lock = threading.Lock()
        self._cancelled = False
        self._complete = False
        self._end: Exception | None = None

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
        try:
            for work in (self._dispatch, lambda: self._read(requests)):
                threading.Thread(target=work, name="stream", daemon=True).start()
            for answer in self._window.answers():
                yield self._response(answer)
        finally:
            self._cancel()
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
                self._capture_times.append(request.frame.capture_time_us)
                if not self._window.push(request.frame.frame_id, request.frame):
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

    def _submit(self, frame: Frame[pb.StreamFrame]) -> None:
        started = time.monotonic()
        pair = self._converter.read_pair(frame.payload.ir, frame.payload.vis)
        decode_time = time.monotonic() - started
        inference = self._queue.submit(
            pair.ir, pair.vis, expires_at=frame.expires_at, bounded=False
        )

        def done(inference: Future[Inference]) -> None:
            with self._lock:
                self._inferences.discard(inference)
            error = _error_of(inference)
            if error is None:
                fused = _FusedPair(inference.result(), pair.grey, frame.arrived_at, decode_time)
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

    def _settle(self, frame: Frame[pb.StreamFrame], outcome: Outcome[_FusedPair]) -> None:
        self._window.settle(frame, outcome)
        self._in_engine.release()

    def _response(self, answer: Answer[_FusedPair]) -> pb.FuseStreamResponse:
        response = pb.FuseStreamResponse(
            frame_id=answer.frame_id, capture_time_us=self._capture_times.popleft()
        )
        outcome = answer.outcome
        if isinstance(outcome, Fused):
            try:
                self._write_fused(response.fused, outcome.result)
            except Exception as error:  # such as a picture the encoding cannot hold
                outcome = Failed(error)
        if isinstance(outcome, Dropped):
            reason, message = DROPS[outcome.reason]
            response.dropped.reason, response.dropped.message = reason, message
        elif isinstance(outcome, Failed):
            status = to_status(outcome.error, f"frame {answer.frame_id} of a stream")
            response.error.code, response.error.message = status.code, status.message
        return response

    def _write_fused(self, message: pb.FusedFrame, pair: _FusedPair) -> None:
        started = time.monotonic()
        self._converter.write_image(message.image, pair.inference.fused, grey=pair.grey)
        ended = time.monotonic()
        message.model.CopyFrom(self._model)
        write_timings(
            message.timings,
            pair.inference,
            decode_time=pair.decode_time,
            encode_time=ended - started,
            total_time=ended - pair.arrived_at,
        )


def _error_of(inference: Future[Inference]) -> Exception | None:
    """Why there is no picture; asked without raising, so that the error holds no frame of ours."""
    if inference.cancelled():  # with the stream: nobody will hear it
        return NotReady(DRAINING)
    error = inference.exception()
    assert error is None or isinstance(error, Exception)
    return error
