"""The window: room, order, drops, deadlines, wrong ids, half-close and cancel, rule by rule."""

from __future__ import annotations

import gc
import weakref

import pytest

from crossfuse.errors import EngineError, InvalidInput
from crossfuse.streaming import (
    Answer,
    Dropped,
    DropPolicy,
    DropReason,
    Failed,
    Frame,
    FrameWindow,
    Fused,
    StreamRules,
)
from crossfuse.streaming.window import MAX_UNREAD_ANSWERS

Window = FrameWindow[str, str]
OVERRUN = Dropped(DropReason.OVERRUN)
DEADLINE = Dropped(DropReason.DEADLINE)


def window(
    room: int, policy: DropPolicy = DropPolicy.NONE, deadline: float | None = None
) -> Window:
    return FrameWindow(StreamRules(room, policy, deadline))


def take(stream: Window, now: float = 0.0) -> Frame[str]:
    frame = stream.take(now)
    assert frame is not None
    return frame


def answers(stream: Window) -> list[Answer[str]]:
    found = []
    while (answer := stream.next_answer()) is not None:
        found.append(answer)
    return found


def outcomes(stream: Window) -> list[tuple[int, object]]:
    return [(answer.frame_id, answer.outcome) for answer in answers(stream)]


def test_answers_keep_the_order_of_arrival_whatever_order_the_engine_finishes_in() -> None:
    stream = window(3)
    for frame_id in (4, 7, 9):
        stream.push(frame_id, f"pictures {frame_id}", now=0.0)
    first, second, third = take(stream), take(stream), take(stream)
    stream.settle(third, Fused("c"))
    stream.settle(second, Failed(EngineError("broken")))
    assert stream.next_answer() is None
    stream.settle(first, Fused("a"))
    found = answers(stream)
    assert [answer.frame_id for answer in found] == [4, 7, 9]
    assert [type(answer.outcome) for answer in found] == [Fused, Failed, Fused]
    assert [answer.sequence for answer in found] == [0, 1, 2]


def test_without_drops_the_sender_waits_until_an_answer_is_delivered() -> None:
    stream = window(2)
    stream.push(1, "a", now=0.0)
    stream.push(2, "b", now=0.0)
    assert not stream.has_room
    with pytest.raises(RuntimeError, match="full window"):
        stream.push(3, "c", now=0.0)
    stream.settle(take(stream), Fused("A"))
    assert not stream.has_room  # fused, but its picture is still here
    assert stream.next_answer() == Answer(0, 1, Fused("A"))
    assert stream.has_room
    assert stream.counters.received == 2


def test_oldest_drops_the_frame_that_waited_longest_and_never_one_being_fused() -> None:
    stream = window(2, DropPolicy.OLDEST)
    stream.push(1, "a", now=0.0)
    being_fused = take(stream)
    for frame_id in (2, 3, 4):
        stream.push(frame_id, "x", now=0.0)
    stream.settle(being_fused, Fused("A"))
    assert outcomes(stream) == [(1, Fused("A")), (2, OVERRUN), (3, OVERRUN)]
    assert take(stream).frame_id == 4


def test_oldest_drops_the_newcomer_when_nothing_else_waits() -> None:
    stream = window(1, DropPolicy.OLDEST)
    stream.push(1, "a", now=0.0)
    stream.settle(take(stream), Fused("A"))
    stream.push(2, "b", now=0.0)  # the reader has not fetched frame 1
    assert stream.take(0.0) is None
    assert outcomes(stream) == [(1, Fused("A")), (2, OVERRUN)]


def test_a_reader_that_never_reads_stops_even_a_sender_whose_frames_are_dropped() -> None:
    stream = window(2, DropPolicy.OLDEST)
    pushed = 0
    while stream.has_room:
        stream.push(pushed, "x", now=0.0)
        pushed += 1
    assert pushed == MAX_UNREAD_ANSWERS + 2
    assert stream.next_answer() is not None
    assert stream.has_room


def test_a_late_frame_never_reaches_the_engine() -> None:
    stream = window(3, deadline=0.5)
    stream.push(1, "a", now=10.0)
    stream.push(2, "b", now=10.2)
    assert stream.next_expiry == pytest.approx(10.5)
    assert take(stream, now=10.6).frame_id == 2
    assert outcomes(stream) == [(1, DEADLINE)]
    assert stream.next_expiry is None


def test_the_deadline_counts_from_capture_when_it_is_known() -> None:
    stream = window(3, deadline=0.5)
    stream.push(1, "old already", now=10.0, captured_at=9.4)
    assert outcomes(stream) == [(1, DEADLINE)]
    stream.push(2, "clock ahead", now=10.0, captured_at=99.0)
    assert stream.next_expiry == pytest.approx(10.5)


def test_a_frame_fused_after_its_deadline_is_delivered() -> None:
    stream = window(1, deadline=0.5)
    stream.push(1, "a", now=0.0)
    frame = take(stream, now=0.4)
    stream.expire(now=9.0)
    stream.settle(frame, Fused("A"))
    assert outcomes(stream) == [(1, Fused("A"))]


def test_an_expired_frame_makes_room_for_the_newest_before_another_is_dropped() -> None:
    stream = window(2, DropPolicy.OLDEST, deadline=1.0)
    stream.push(1, "a", now=0.0)
    stream.push(2, "b", now=0.9)
    stream.push(3, "c", now=1.5)
    assert outcomes(stream) == [(1, DEADLINE)]
    assert [take(stream, 1.5).frame_id, take(stream, 1.5).frame_id] == [2, 3]


@pytest.mark.parametrize("wrong", [5, 3, 0])
def test_an_id_that_does_not_increase_fails_alone(wrong: int) -> None:
    stream = window(3)
    stream.push(5, "a", now=0.0)
    stream.push(wrong, "b", now=0.0)
    stream.push(6, "c", now=0.0)
    stream.settle(take(stream), Fused("A"))
    stream.settle(take(stream), Fused("C"))
    first, second, third = answers(stream)
    assert (first.outcome, third.outcome) == (Fused("A"), Fused("C"))
    assert second.frame_id == wrong
    assert isinstance(second.outcome, Failed)
    assert isinstance(second.outcome.error, InvalidInput)
    assert str(second.outcome.error) == (
        f"frame_id: got {wrong} after 5; valid: numbers that increase, such as 6"
    )


def test_half_close_drains() -> None:
    stream = window(2)
    stream.push(1, "a", now=0.0)
    stream.close()
    with pytest.raises(RuntimeError, match="open a new stream"):
        stream.push(2, "b", now=0.0)
    assert not stream.exhausted
    frame = take(stream)
    assert stream.exhausted
    stream.settle(frame, Fused("A"))
    assert not stream.finished
    assert outcomes(stream) == [(1, Fused("A"))]
    assert stream.finished


def test_cancel_frees_pictures_and_ignores_work_that_still_reports() -> None:
    class Pictures:
        pass

    stream: FrameWindow[Pictures, Pictures] = FrameWindow(StreamRules(4))
    held: list[weakref.ref[Pictures]] = []
    for frame_id in range(4):
        pictures = Pictures()
        held.append(weakref.ref(pictures))
        stream.push(frame_id, pictures, now=0.0)
    del pictures
    done, running = stream.take(0.0), stream.take(0.0)
    assert done is not None
    assert running is not None
    stream.settle(done, Fused(done.payload))
    stream.cancel()
    stream.settle(running, Fused(running.payload))
    assert stream.finished
    assert stream.next_answer() is None
    assert (stream.counters.fused, stream.counters.cancelled, stream.counters.pending) == (1, 3, 0)
    del done, running
    gc.collect()
    assert [reference() for reference in held] == [None] * 4


def test_a_frame_is_settled_once() -> None:
    stream = window(1)
    stream.push(1, "a", now=0.0)
    frame = take(stream)
    stream.settle(frame, Fused("A"))
    with pytest.raises(RuntimeError, match="twice for frame 1"):
        stream.settle(frame, Fused("A"))


@pytest.mark.parametrize("room", [0, -1])
def test_room_for_no_frame_is_refused(room: int) -> None:
    with pytest.raises(InvalidInput, match=f"max_in_flight: got {room}; valid: 1 or more"):
        StreamRules(max_in_flight=room)


@pytest.mark.parametrize("deadline", [0.0, -1.0, float("nan"), float("inf")])
def test_a_deadline_must_be_positive(deadline: float) -> None:
    with pytest.raises(InvalidInput, match="deadline: got"):
        StreamRules(deadline=deadline)
