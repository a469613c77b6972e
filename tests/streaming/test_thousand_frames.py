"""One long stream with everything that can happen to a frame, and counters that agree."""

from __future__ import annotations

import random
from collections import Counter

from crossfuse.errors import EngineError
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


def test_a_thousand_frames_with_lateness_faults_and_drops_are_each_answered_once() -> None:
    chance = random.Random(3)  # noqa: S311
    stream: FrameWindow[str, str] = FrameWindow(StreamRules(3, DropPolicy.OLDEST, deadline=0.05))
    running: list[Frame[str]] = []
    found: list[Answer[str]] = []
    now = 0.0
    sent = []
    for number in range(1000):
        frame_id = number if chance.random() > 0.03 else max(0, number - 5)
        sent.append(frame_id)
        now += chance.expovariate(100.0)
        stream.push(frame_id, "x", now, captured_at=now - chance.uniform(0.0, 0.06))
        if chance.random() < 0.7 and (frame := stream.take(now)) is not None:
            running.append(frame)
        if running and chance.random() < 0.6:
            frame = running.pop(chance.randrange(len(running)))
            broken = chance.random() < 0.1
            stream.settle(frame, Failed(EngineError("x")) if broken else Fused("X"))
        if chance.random() < 0.8:
            found += iter(stream.next_answer, None)
    stream.close()
    for frame in running:
        stream.settle(frame, Fused("X"))
    stream.expire(now + 1.0)
    found += iter(stream.next_answer, None)
    assert stream.finished
    assert [answer.frame_id for answer in found] == sent
    assert [answer.sequence for answer in found] == list(range(1000))
    counters = stream.counters
    kinds = Counter(type(answer.outcome) for answer in found)
    reasons = Counter(a.outcome.reason for a in found if isinstance(a.outcome, Dropped))
    assert kinds == {
        Fused: counters.fused,
        Failed: counters.failed,
        Dropped: counters.dropped.total(),
    }
    assert reasons == counters.dropped
    assert set(reasons) == {DropReason.OVERRUN, DropReason.DEADLINE}
    assert min(kinds.values()) > 20
    assert (counters.received, counters.delivered, counters.pending) == (1000, 1000, 0)
