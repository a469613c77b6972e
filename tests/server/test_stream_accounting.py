"""Every frame is answered exactly once, in order, whatever happens to it; and nothing leaks."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import grpc
import numpy as np
import pytest

from crossfuse.streaming import DropReason
from crossfuse.v1 import fusion_pb2 as pb

FRAMES = 1000
Serve = Callable[..., Any]
Eventually = Callable[..., None]


def level_of(number: int) -> int:
    """The grey level of a frame's pictures: neighbours differ, so that a mix-up shows."""
    return number * 37 % 256


def picture(make: Any, number: int) -> pb.Image:
    image: pb.Image = make.raw(np.full((32, 32), level_of(number), np.uint8))
    return image


def is_bad(number: int) -> bool:
    return number % 17 == 5


def send(make: Any, stream: Any, number: int) -> None:
    good = picture(make, number)
    ir = pb.Image(encoding=pb.ENCODING_PNG, data=b"no picture") if is_bad(number) else good
    stream.frame(number, ir, good, capture_time_us=-number)


def count(make: Any, answers: list[pb.FuseStreamResponse], frames: int) -> Counter[Any]:
    """How often each outcome came: once for each frame, in order, with the right picture."""
    assert [answer.frame_id for answer in answers] == list(range(frames))
    assert [answer.capture_time_us for answer in answers] == [-n for n in range(frames)]
    seen: Counter[Any] = Counter()
    for number, answer in enumerate(answers):
        outcome = answer.WhichOneof("outcome")
        seen[answer.dropped.reason if outcome == "dropped" else outcome] += 1
        if outcome == "fused":
            assert not is_bad(number)
            assert (make.pixels(answer.fused.image) == level_of(number)).all()
        elif outcome == "error":
            assert is_bad(number)
            assert answer.error.code == grpc.StatusCode.INVALID_ARGUMENT.value[0]
    return seen


def test_a_thousand_frames(serve: Serve, gated: Any, make: Any, eventually: Eventually) -> None:
    """The engine stands still until frames were overrun and too late; then it falls behind and
    catches up at random."""
    running = serve(gated, max_in_flight=4)
    stream = running.stream(
        max_in_flight=4, drop_policy=pb.DROP_POLICY_OLDEST, frame_deadline_us=20_000
    )
    numbers = iter(range(FRAMES))
    answers: list[pb.FuseStreamResponse] = []
    reader = threading.Thread(target=lambda: answers.extend(stream.rest()[0]))
    reader.start()

    send(make, stream, next(numbers))
    gated.wait_for_picture()
    for _ in range(200):
        send(make, stream, next(numbers))
    (serving,) = running.open_streams
    eventually(lambda: serving.counters.received == 201)
    eventually(lambda: serving.counters.dropped[DropReason.DEADLINE] > 0)
    eventually(lambda: serving.counters.pending == 2)  # one in the engine, one in its queue

    def settled(frames: int) -> bool:
        return bool(serving.counters.received == frames and not serving.counters.pending)

    gated.let_through(4)  # all that may be in flight
    choice = random.Random(7)  # noqa: S311
    for number in numbers:
        send(make, stream, number)
        gated.let_through(1)
        if choice.random() < 0.5:  # let it catch up
            eventually(partial(settled, number + 1))
    gated.let_through()
    stream.half_close()
    reader.join(60)
    seen = count(make, answers, FRAMES)
    counters = serving.counters
    assert counters.received == counters.delivered == FRAMES
    assert counters.pending == counters.cancelled == 0
    assert seen == {
        "fused": counters.fused,
        "error": counters.failed,
        pb.DROP_REASON_OVERRUN: counters.dropped[DropReason.OVERRUN],
        pb.DROP_REASON_DEADLINE: counters.dropped[DropReason.DEADLINE],
    }
    assert min(seen.values()) > 0, "every kind of outcome was there"


@pytest.mark.parametrize("seed", range(6))
def test_many_streams_of_many_kinds(seed: int, serve: Serve, stand_in: Any, make: Any) -> None:
    """Random rules and an engine of uneven speed; the streams run side by side."""
    choice = random.Random(seed)  # noqa: S311

    def action(ir: Any, vis: Any) -> Any:
        time.sleep(choice.random() * 2e-3)
        return vis

    running = serve(open_engines=lambda _: [stand_in(action) for _ in range(2)])
    streams = [
        running.stream(
            max_in_flight=choice.randint(1, 8),
            drop_policy=choice.choice([pb.DROP_POLICY_NONE, pb.DROP_POLICY_OLDEST]),
            frame_deadline_us=choice.choice([0, 0, 500, 5_000]),
        )
        for _ in range(4)
    ]
    for number in range(60):
        for stream in streams:
            send(make, stream, number)
    for stream in streams:
        stream.half_close()
    for stream in streams:
        answers, status = stream.rest()
        assert status.code == 0
        assert count(make, answers, 60).total() == 60
    assert running.waiting == 0
    assert running.ended("FuseStream") == {"OK": 4}


def test_streams_that_are_cancelled_anywhere(
    serve: Serve, stand_in: Any, make: Any, eventually: Eventually, caplog: Any
) -> None:
    """Before, while and after frames are read, decoded, queued, run and answered."""

    def stream_threads() -> int:
        return sum(thread.name == "stream" for thread in threading.enumerate())

    before = stream_threads()
    choice = random.Random(11)  # noqa: S311
    running = serve(stand_in(lambda ir, vis: vis), max_streams=64)
    started = []
    for number in range(120):
        stream = running.stream(max_in_flight=choice.randint(1, 8))
        started.append(stream)
        for frame in range(choice.randint(0, 6)):
            send(make, stream, frame)
        for _ in range(choice.randint(0, 2)):
            if choice.random() < 0.5:
                time.sleep(choice.random() * 3e-3)
        if choice.random() < 0.3:
            stream.half_close()
        stream.end()
        assert number or running.health() == "SERVING"
    eventually(lambda: running.stream_count == 0)
    eventually(lambda: stream_threads() == before)
    assert running.waiting == 0
    assert running.fuse(make.request()).fused.height == 48
    assert caplog.records == []
