"""The answers of a stream: what became of a frame, as a message."""

from __future__ import annotations

from dataclasses import dataclass

from crossfuse.arrays import UInt8Array
from crossfuse.bundles import Bundle
from crossfuse.streaming import Answer, Dropped, DropReason, Failed, Fused
from crossfuse.streaming.brightness import HeldBrightness, SourceLook
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.convert import Converter, write_model, write_timings
from crossfuse_server.jobs import Inference
from crossfuse_server.observations import OK
from crossfuse_server.recorder import DROPPED, Pair, Recorder
from crossfuse_server.statuses import name_of, to_status
from crossfuse_server.timeline import ENCODE

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
class FusedPair:
    """What the model made of a frame."""

    inference: Inference
    bundle: Bundle
    grey: bool
    look: SourceLook | None
    """Of its sources, where the model stretches every frame anew."""


class StreamAnswers:
    """Writes and records the answers of one stream, in order; holds what goes on between them."""

    def __init__(self, converter: Converter, recorder: Recorder) -> None:
        self._converter = converter
        self._recorder = recorder
        self._brightness = HeldBrightness()
        self._bundle: Bundle | None = None

    def response(
        self, answer: Answer[FusedPair], record: Pair, capture_time_us: int
    ) -> pb.FuseStreamResponse:
        """The message for one answer."""
        ended, drop_reason = OK, ""
        response = pb.FuseStreamResponse(frame_id=answer.frame_id, capture_time_us=capture_time_us)
        outcome = answer.outcome
        if isinstance(outcome, Fused):
            try:
                self._write_fused(response.fused, outcome.result, record)
            except Exception as error:  # such as a picture the encoding cannot hold
                outcome = Failed(error)
        if isinstance(outcome, Dropped):
            reason, message = DROPS[outcome.reason]
            response.dropped.reason, response.dropped.message = reason, message
            ended, drop_reason = DROPPED, outcome.reason.value
        elif isinstance(outcome, Failed):
            status = to_status(outcome.error, f"frame {answer.frame_id} of a stream")
            response.error.code, response.error.message = status.code, status.message
            ended = name_of(status.code)
        self._recorder.end(record, ended, drop_reason)
        return response

    def _write_fused(self, message: pb.FusedFrame, pair: FusedPair, record: Pair) -> None:
        timeline = record.timeline
        record.ran(pair.inference)
        timeline.enter(ENCODE)
        self._converter.write_image(message.image, self._steady(pair), timeline, grey=pair.grey)
        manifest = pair.bundle.manifest
        write_model(message.model, manifest.name, manifest.version)
        timeline.close()
        write_timings(message.timings, timeline, record.batch_size)

    def _steady(self, pair: FusedPair) -> UInt8Array:
        if pair.look is None:
            return pair.inference.fused
        if pair.bundle is not self._bundle:  # another model stretches in another way
            self._brightness.reset()
            self._bundle = pair.bundle
        return self._brightness.apply(pair.inference.fused, pair.look)
