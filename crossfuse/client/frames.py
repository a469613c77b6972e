"""What is under way on a stream: numbers the frames, and gives each answer back to its frame.

Knows neither threads nor the network: the blocking and the asynchronous client share it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from crossfuse.client.answers import read_fused, read_reference, read_timings
from crossfuse.client.errors import IncompatibleServer, ServerNotReady
from crossfuse.client.requests import LARGEST_INT64, LARGEST_UINT64, CallOptions
from crossfuse.client.results import StreamResult
from crossfuse.client.statuses import error_of_frame
from crossfuse.errors import InvalidInput
from crossfuse.images import Pixels
from crossfuse.v1 import fusion_pb2 as pb

# Frames on their way without a `max_in_flight` of the caller: one on its way there, one being
# fused, one on its way back.
DEFAULT_IN_FLIGHT = 3

# Under drop="oldest" the server bounds the pictures; this bounds what is remembered of frames whose
# answers the caller has not read. Servers of this project stop reading at the same number.
MOST_UNREAD = 1024

DROP_REASONS: dict[int, str] = {
    pb.DROP_REASON_OVERRUN: "overrun",
    pb.DROP_REASON_DEADLINE: "deadline",
}


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A pair of a stream: ir uint8 or uint16 HxW, vis uint8 HxWx3 RGB or HxW."""

    ir: Pixels
    vis: Pixels
    frame_id: int | None = None
    """Must rise from frame to frame. Not given: the number after the frame before, from 0."""
    capture_time_us: int = 0
    """When the pictures were taken, in microseconds of any clock; given back with the result."""

    def __post_init__(self) -> None:
        if self.frame_id is not None and not 0 <= self.frame_id <= LARGEST_UINT64:
            raise InvalidInput("frame_id", str(self.frame_id), f"0 to {LARGEST_UINT64}")
        if abs(self.capture_time_us) > LARGEST_INT64:
            raise InvalidInput(
                "capture_time_us", str(self.capture_time_us), "at most 63 bits of microseconds"
            )


StreamItem: TypeAlias = Frame | tuple[Pixels, Pixels]


@dataclass(slots=True)
class _UnderWay:
    """A frame that was taken from the caller and not yet answered."""

    sequence: int
    frame_id: int
    capture_time_us: int
    vis_shape: tuple[int, ...]
    fault: InvalidInput | None
    message: pb.FuseStreamRequest | None
    """Until it was sent; where the stream goes on after a broken connection, until its answer."""


class StreamLedger:
    """The frames of one stream, from the pairs of the caller to the results it gets."""

    def __init__(
        self,
        options: CallOptions,
        config: pb.StreamConfig,
        address: str,
        *,
        resumes: bool = False,
    ) -> None:
        self.config = pb.FuseStreamRequest(config=config)
        in_flight = config.max_in_flight or DEFAULT_IN_FLIGHT
        self._drops = config.drop_policy == pb.DROP_POLICY_OLDEST
        self.most_ahead = MOST_UNREAD if self._drops else in_flight
        """How many frames may be taken from the caller beyond those it has the results of."""
        self._resumes = resumes
        self._kept = in_flight if self._drops else MOST_UNREAD
        self._taken = 0
        self._options = options
        self._address = address
        self._under_way: deque[_UnderWay] = deque()
        self._last_id = -1

    def check_ready(self, served: pb.ListModelsResponse) -> None:
        """Called before any pair is read: a model that is loading is worth waiting for."""
        wanted = self.config.config.model
        for model in served.models:
            named = model.model.name == wanted.name if wanted.name else model.is_default
            fits = named and wanted.version in ("", model.model.version)
            if fits and model.state == pb.SERVING_STATE_LOADING:
                raise ServerNotReady(
                    f"the server at {self._address} is not ready: "
                    f"model: {read_reference(model.model)} is still loading"
                )

    def take(self, item: StreamItem) -> None:
        """Let the caller's next frame in; `next_message` gives its message.

        A pair that breaks a rule goes without pictures: the server answers it with an error in
        its place, and the order holds without further ado.
        """
        frame = item if isinstance(item, Frame) else Frame(*_as_pair(item))
        self._last_id = self._last_id + 1 if frame.frame_id is None else frame.frame_id
        message = pb.StreamFrame(frame_id=self._last_id, capture_time_us=frame.capture_time_us)
        fault = None
        try:
            self._options.write_pair(frame.ir, frame.vis, message)
        except InvalidInput as error:
            fault = error
            message.ClearField("ir")
            message.ClearField("vis")
        shape = () if fault else frame.vis.shape
        request = pb.FuseStreamRequest(frame=message)
        self._under_way.append(
            _UnderWay(self._taken, self._last_id, frame.capture_time_us, shape, fault, request)
        )
        self._taken += 1
        for old in tuple(self._under_way)[: -self._kept]:
            old.message = None  # it would be given up when the connection breaks

    def next_message(self, after: int) -> tuple[int, pb.FuseStreamRequest] | None:
        """Sequence and message of the first frame after a sequence that waits to be sent."""
        for frame in tuple(self._under_way):
            message = frame.message
            if frame.sequence > after and message is not None:
                if not self._resumes:
                    frame.message = None
                return frame.sequence, message
        return None

    def give_up_old(self) -> list[StreamResult]:
        """Called when the connection broke: the results of frames that are not sent again.

        Those whose pictures were not kept: under drop="oldest" all but the newest ones.
        """
        given_up = []
        while self._under_way and self._under_way[0].message is None:
            lost = self._under_way.popleft()
            given_up.append(
                StreamResult(
                    lost.frame_id,
                    lost.capture_time_us,
                    dropped="reconnect: the connection broke before it was answered",
                )
            )
        return given_up

    def receive(self, response: pb.FuseStreamResponse) -> StreamResult:
        """The result of the frame that has been under way longest."""
        sent = self._under_way.popleft() if self._under_way else None
        if sent is None or sent.frame_id != response.frame_id:
            expected = "none" if sent is None else f"that of frame {sent.frame_id}"
            raise IncompatibleServer(
                f"frame_id: got an answer for frame {response.frame_id}; valid: {expected}"
            )
        frame_id, captured = response.frame_id, response.capture_time_us
        outcome = response.WhichOneof("outcome")
        if outcome == "error":
            status = response.error
            error = sent.fault or error_of_frame(status.code, status.message, self._address)
            return StreamResult(frame_id, captured, error=error)
        if outcome == "dropped":
            reason = DROP_REASONS.get(response.dropped.reason, "dropped")
            return StreamResult(frame_id, captured, dropped=f"{reason}: {response.dropped.message}")
        return StreamResult(
            frame_id,
            captured,
            image=read_fused(response.fused.image, sent.vis_shape),
            model=read_reference(response.fused.model),
            timings=read_timings(response.fused.timings),
        )

    def check_complete(self) -> None:
        """Called when the server has ended the stream: every frame must have its answer."""
        if self._under_way:
            raise IncompatibleServer(
                f"{self._address} ended the stream with {len(self._under_way)} frames "
                "unanswered; valid: one answer for every frame"
            )


def _as_pair(item: object) -> tuple[Pixels, Pixels]:
    if isinstance(item, tuple | list) and len(item) == 2:
        return item[0], item[1]
    length = f" of {len(item)}" if isinstance(item, tuple | list) else ""
    raise InvalidInput("pairs", f"a {type(item).__name__}{length}", "Frame, or (ir, vis)")
