"""The answers of a stream: what became of a frame, as a message."""

from __future__ import annotations

import time
from dataclasses import dataclass

from crossfuse.bundles import Bundle
from crossfuse.engines import UInt8Array
from crossfuse.streaming import Answer, Dropped, DropReason, Failed, Fused
from crossfuse.streaming.brightness import HeldBrightness, SourceLook
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.convert import Converter, write_model, write_timings
from crossfuse_server.jobs import Inference
from crossfuse_server.statuses import to_status

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
    """What the model made of a frame, and the times around it in seconds."""

    inference: Inference
    bundle: Bundle
    grey: bool
    look: SourceLook | None
    """Of its sources, where the model stretches every frame anew."""
    arrived_at: float
    decode_time: float


class StreamAnswers:
    """Writes the answers of one stream, in order; holds what goes from frame to frame."""

    def __init__(self, converter: Converter) -> None:
        self._converter = converter
        self._brightness = HeldBrightness()
        self._bundle: Bundle | None = None

    def response(self, answer: Answer[FusedPair], capture_time_us: int) -> pb.FuseStreamResponse:
        """The message for one answer."""
        response = pb.FuseStreamResponse(frame_id=answer.frame_id, capture_time_us=capture_time_us)
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

    def _write_fused(self, message: pb.FusedFrame, pair: FusedPair) -> None:
        started = time.monotonic()
        self._converter.write_image(message.image, self._steady(pair), grey=pair.grey)
        ended = time.monotonic()
        manifest = pair.bundle.manifest
        write_model(message.model, manifest.name, manifest.version)
        write_timings(
            message.timings,
            pair.inference,
            decode_time=pair.decode_time,
            encode_time=ended - started,
            total_time=ended - pair.arrived_at,
        )

    def _steady(self, pair: FusedPair) -> UInt8Array:
        if pair.look is None:
            return pair.inference.fused
        if pair.bundle is not self._bundle:  # another model stretches in another way
            self._brightness.reset()
            self._bundle = pair.bundle
        return self._brightness.apply(pair.inference.fused, pair.look)
