"""The waits around the window."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

import pytest

from crossfuse.streaming import (
    Answer,
    BlockingWindow,
    Dropped,
    DropPolicy,
    DropReason,
    Failed,
    Frame,
    Fused,
    Outcome,
    StreamRules,
)

FRAMES = 300
T = TypeVar("T")


def start(call: Callable[[], T]) -> Future[T]:
    """Run in a daemon thread: one that hangs must not keep the test run from ending."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def fuse(frame: Frame[int]) -> Outcome[int]:
    """An engine of uneven speed; every 50th frame is broken."""
    time.sleep(random.Random(frame.frame_id).random() * 1e-3)  # noqa: S311
    return Failed(ValueError("broken")) if frame.payload % 50 == 0 else Fused(frame.payload + 1)


def check(answers: list[Answer[int]], policy: DropPolicy) -> None:
    assert [answer.frame_id for answer in answers] == list(range(FRAMES))
    for answer in answers:
        if answer.outcome == Dropped(DropReason.OVERRUN):
            assert policy is DropPolicy.OLDEST
        elif answer.frame_id % 50 == 0:
            assert isinstance(answer.outcome, Failed)
        else:
            assert answer.outcome == Fused(answer.frame_id + 1)


@pytest.mark.parametrize("policy", list(DropPolicy))
def test_threads_answer_every_frame_in_order(policy: DropPolicy) -> None:
    window: BlockingWindow[int, int] = BlockingWindow(StreamRules(3, policy))

    def send() -> None:
        for number in range(FRAMES):
            assert window.push(number, number)
        window.close()

    def work() -> None:
        while (frame := window.take()) is not None:
            window.settle(frame, fuse(frame))

    running = [start(call) for call in (send, work, work)]
    answers = list(window.answers())
    for future in running:
        future.result()
    check(answers, policy)
    assert window.counters.pending == 0
    assert window.counters.delivered == FRAMES


def test_threads_answer_a_late_frame_without_being_asked() -> None:
    window: BlockingWindow[int, int] = BlockingWindow(StreamRules(deadline=0.05))
    window.push(1, 1)
    assert next(window.answers()).outcome == Dropped(DropReason.DEADLINE)


@pytest.mark.parametrize("end", ["close", "cancel"])
def test_whoever_waits_in_a_thread_returns_at_the_end(end: str) -> None:
    full: BlockingWindow[int, int] = BlockingWindow(StreamRules(1))
    idle: BlockingWindow[int, int] = BlockingWindow(StreamRules(1))
    full.push(1, 1)
    waits: list[Callable[[], object]] = [
        lambda: full.push(2, 2),
        idle.take,
        lambda: list(idle.answers()),
    ]
    waiting = [start(wait) for wait in waits]
    time.sleep(0.02)
    assert not any(future.done() for future in waiting)
    for window in (full, idle):
        getattr(window, end)()
    assert [future.result() for future in waiting] == [False, None, []]


def test_a_slow_reader_holds_the_sender_back() -> None:
    window: BlockingWindow[int, int] = BlockingWindow(StreamRules(2))

    def send() -> None:
        for number in range(10):
            window.push(number, number)
        window.close()

    def work() -> None:
        while (frame := window.take()) is not None:
            window.settle(frame, Fused(frame.payload))

    running = [start(send), start(work)]
    for number, answer in enumerate(window.answers()):
        assert answer.frame_id == number
        # This answer and those before it are delivered; at most two more are inside.
        assert window.counters.received <= number + 1 + 2
    assert number == 9
    for future in running:
        future.result()
