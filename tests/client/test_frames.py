"""What is under way on a stream, and servers that break the rules of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from crossfuse.client import Frame, FusionClient, IncompatibleServer, LocalTransport
from crossfuse.client.frames import MOST_UNREAD, StreamLedger
from crossfuse.client.requests import stream_config, write_options
from crossfuse.errors import InvalidInput
from crossfuse.images import DEFAULT_MAPPING
from crossfuse.streaming.window import MAX_UNREAD_ANSWERS
from crossfuse.v1 import fusion_pb2 as pb


class Distorting(LocalTransport):
    """Plays the answers of a stream through a function."""

    def __init__(self, distort: Callable[[Any], Iterator[pb.FuseStreamResponse]]) -> None:
        super().__init__(lambda ir, vis, **options: vis)
        self._distort = distort

    def fuse_stream(self, requests: Any, timeout: float | None) -> Any:
        return self._distort(super().fuse_stream(requests, timeout))


@pytest.fixture
def ledger() -> Callable[..., StreamLedger]:
    def make(**config: Any) -> StreamLedger:
        options = write_options(
            model=None,
            homography=None,
            ir_mapping=DEFAULT_MAPPING,
            ir_polarity="white-hot",
            encoding="raw",
            max_pixels=10_000,
        )
        settings = {"max_in_flight": None, "drop": "none", "frame_deadline": None, **config}
        return StreamLedger(options, stream_config(options, **settings), "far:1")

    return make


def test_how_far_ahead_pairs_are_read(ledger: Callable[..., StreamLedger]) -> None:
    assert ledger(max_in_flight=7).most_ahead == 7
    assert ledger(max_in_flight=7, drop="oldest").most_ahead == MOST_UNREAD == MAX_UNREAD_ANSWERS


def test_the_config_says_what_was_asked_for(ledger: Callable[..., StreamLedger]) -> None:
    config = ledger(max_in_flight=7, drop="oldest", frame_deadline=0.25).config.config
    assert (config.max_in_flight, config.frame_deadline_us) == (7, 250_000)
    assert config.drop_policy == pb.DROP_POLICY_OLDEST
    plain = ledger().config.config
    assert (plain.max_in_flight, plain.frame_deadline_us) == (0, 0)


def test_a_bad_pair_travels_without_pictures(
    ledger: Callable[..., StreamLedger], ir: Any, vis: Any
) -> None:
    book = ledger()
    book.take((ir[:9], vis))
    (_, message) = book.next_message(-1) or (0, pb.FuseStreamRequest())
    frame = message.frame
    assert not frame.HasField("ir")
    assert not frame.HasField("vis")
    dropped = pb.FuseStreamResponse(dropped=pb.FrameDropped(message="no room"))
    result = book.receive(dropped)
    assert (result.dropped, result.error) == ("dropped: no room", None)
    book.take(Frame(ir, vis, capture_time_us=3))
    (sequence, message) = book.next_message(0) or (0, pb.FuseStreamRequest())
    assert (sequence, message.frame.frame_id) == (1, 1)
    assert book.next_message(0) is None, "what was sent is not kept"


def test_an_answer_out_of_order_is_refused(ir: Any, vis: Any) -> None:
    def skip(answers: Any) -> Iterator[pb.FuseStreamResponse]:
        next(answers)
        yield from answers

    client = FusionClient(transport=Distorting(skip))
    with pytest.raises(
        IncompatibleServer, match="got an answer for frame 1; valid: that of frame 0"
    ):
        list(client.stream([(ir, vis)] * 3))


def test_an_answer_too_many_is_refused(ir: Any, vis: Any) -> None:
    def repeat(answers: Any) -> Iterator[pb.FuseStreamResponse]:
        for answer in answers:
            yield answer
            yield answer

    client = FusionClient(transport=Distorting(repeat))
    with pytest.raises(IncompatibleServer, match="got an answer for frame 0; valid: none"):
        list(client.stream([(ir, vis)]))


def test_an_answer_too_few_is_refused(ir: Any, vis: Any) -> None:
    def lose_the_last(answers: Any) -> Iterator[pb.FuseStreamResponse]:
        *kept, _ = answers
        yield from kept

    client = FusionClient(transport=Distorting(lose_the_last))
    with pytest.raises(IncompatibleServer, match="ended the stream with 1 frames unanswered"):
        list(client.stream([(ir, vis)] * 3, max_in_flight=9))


def test_an_answer_of_no_known_kind_is_refused(ir: Any, vis: Any) -> None:
    def empty(answers: Any) -> Iterator[pb.FuseStreamResponse]:
        for answer in answers:
            answer.ClearField("fused")
            yield answer

    client = FusionClient(transport=Distorting(empty))
    with pytest.raises(IncompatibleServer, match=r"fused.data: got 0 bytes"):
        list(client.stream([(ir, vis)]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_in_flight": 0}, "max_in_flight: got 0; valid: 1 or more"),
        ({"drop": "newest"}, "drop: got 'newest'; valid: none, oldest"),
        ({"frame_deadline": -0.1}, "frame_deadline: got -0.1 s"),
        ({"timeout": -1}, "timeout: got -1 s"),
        ({"encoding": "bmp"}, "encoding: got 'bmp'"),
    ],
)
def test_bad_options_are_refused_at_once(
    client: FusionClient, ir: Any, vis: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        client.stream([(ir, vis)], **options)
