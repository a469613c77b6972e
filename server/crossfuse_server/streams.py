"""FuseStream: frames with a config, drops by policy and deadline, and a view of what is live."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial

import grpc

from crossfuse.errors import DeadlineExceeded, InvalidInput, NotReady
from crossfuse.streaming import Answer, Dropped, DropReason, Failed, Frame, Fused, StreamRules
from crossfuse.streaming.brightness import SourceLook, look_at
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.admission import Admission
from crossfuse_server.convert import Converter
from crossfuse_server.first_message import DRAINING
from crossfuse_server.host import ModelHost
from crossfuse_server.jobs import Inference, Job
from crossfuse_server.models import ServedModel
from crossfuse_server.recorder import Pair, Recorder, current_request_id
from crossfuse_server.stream_answers import FusedPair, StreamAnswers
from crossfuse_server.timeline import DECODE, QUEUE, Timeline, arrived_at
from crossfuse_server.views import LiveView
from crossfuse_server.windowed import Received, WindowedStream


class FrameStream(WindowedStream[pb.StreamFrame, FusedPair]):
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
        super().__init__(rules, admission, recorder, client)
        self._host = host
        self._wanted = wanted
        self._bundle = host.get(wanted.name, wanted.version).bundle
        self._converter = converter
        self._answers = StreamAnswers(converter, recorder)
        self._priority = priority
        self._parent = parent
        self._request_id = current_request_id()
        self._capture_times: deque[int] = deque()
        self.view = LiveView(wanted.name)

    def run(
        self, messages: Iterator[pb.FuseStreamRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.FuseStreamResponse]:
        """Answer every frame in order, and show the last one."""
        try:
            yield from super().run(messages, context)
        finally:
            self.view.end()

    def _take_in(self, number: int, message: pb.FuseStreamRequest) -> bool:
        if message.WhichOneof("message") != "frame":
            raise InvalidInput(
                "message",
                message.WhichOneof("message") or "an empty message",
                "a frame; the config is sent once, as the first message",
            )
        frame = message.frame
        record = self._record(frame.frame_id)
        self._capture_times.append(frame.capture_time_us)
        return self._hold(frame.frame_id, frame, record, frame.ByteSize())

    def _response(self, answer: Answer[FusedPair], record: Pair) -> pb.FuseStreamResponse:
        response = self._answers.response(answer, record, self._capture_times.popleft())
        self.view.show(response)
        return response

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

    def _submit(self, frame: Frame[Received[pb.StreamFrame]]) -> None:
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

        self._follow(inference)
        inference.add_done_callback(partial(self._done, frame, model, pair.grey, look))

    def _done(
        self,
        frame: Frame[Received[pb.StreamFrame]],
        model: ServedModel,
        grey: bool,
        look: SourceLook | None,
        inference: Future[Inference],
    ) -> None:
        model.release()
        self._forget(inference)
        error = _error_of(inference)
        if error is None:
            self._settle(frame, Fused(FusedPair(inference.result(), model.bundle, grey, look)))
        elif isinstance(error, DeadlineExceeded):
            self._settle(frame, Dropped(DropReason.DEADLINE))
        else:
            self._settle(frame, Failed(error))


def _error_of(inference: Future[Inference]) -> Exception | None:
    """Why there is no picture; asked without raising, so that the error holds no frame of ours."""
    if inference.cancelled():  # with the stream: nobody will hear it
        return NotReady(DRAINING)
    error = inference.exception()
    assert error is None or isinstance(error, Exception)
    return error
