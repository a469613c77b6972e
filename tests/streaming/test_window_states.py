"""Any interleaving of push, take, settle, expiry, reading, close and cancel keeps the promises."""

from __future__ import annotations

import itertools

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from crossfuse.errors import EngineError, InvalidInput
from crossfuse.streaming import (
    Dropped,
    DropPolicy,
    DropReason,
    Failed,
    Frame,
    FrameWindow,
    Fused,
    StreamRules,
)


class WindowMachine(RuleBasedStateMachine):
    """Drives one window and remembers what was sent, what was taken and what was answered."""

    @initialize(
        room=st.integers(1, 4),
        policy=st.sampled_from(DropPolicy),
        deadline=st.none() | st.floats(0.5, 5.0),
    )
    def open(self, room: int, policy: DropPolicy, deadline: float | None) -> None:
        self.limits = StreamRules(room, policy, deadline)
        self.window: FrameWindow[int, int] = FrameWindow(self.limits)
        self.now = 0.0
        self.sent: list[int] = []  # frame ids, in order; the index is the sequence
        self.expires: list[float] = []
        self.good_ids: set[int] = set()  # sequences whose id was greater than all before
        self.taken: dict[int, Frame[int]] = {}
        self.was_taken: set[int] = set()
        self.reported: dict[int, Fused[int] | Failed] = {}
        self.answered = 0

    @precondition(lambda self: self.window.has_room and not self.window.closed)
    @rule(step=st.integers(-2, 3), age=st.none() | st.floats(-1.0, 6.0))
    def push(self, step: int, age: float | None) -> None:
        highest = max((self.sent[s] for s in self.good_ids), default=-1)
        frame_id = highest + step
        if frame_id > highest or not self.good_ids:
            self.good_ids.add(len(self.sent))
        captured_at = None if age is None else self.now - age
        self.sent.append(frame_id)
        start = self.now if captured_at is None else min(self.now, captured_at)
        self.expires.append(start + (self.limits.deadline or float("inf")))
        self.window.push(frame_id, frame_id * 10, self.now, captured_at)

    @rule()
    def take(self) -> None:
        frame = self.window.take(self.now)
        if frame is None:
            return
        assert frame.sequence in self.good_ids
        assert frame.sequence not in self.was_taken
        assert frame.sequence > max(self.was_taken, default=-1)
        assert (frame.frame_id, frame.payload) == (
            self.sent[frame.sequence],
            self.sent[frame.sequence] * 10,
        )
        assert frame.expires_at == self.expires[frame.sequence] > self.now
        self.taken[frame.sequence] = frame
        self.was_taken.add(frame.sequence)

    @precondition(lambda self: self.taken)
    @rule(data=st.data(), broken=st.booleans())
    def settle(self, data: st.DataObject, broken: bool) -> None:
        sequence = data.draw(st.sampled_from(sorted(self.taken)))
        frame = self.taken.pop(sequence)
        outcome = Failed(EngineError("broken")) if broken else Fused(frame.payload + 1)
        self.reported[sequence] = outcome
        self.window.settle(frame, outcome)

    @rule(seconds=st.floats(0.0, 3.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.window.expire(self.now)
        expiry = self.window.next_expiry
        assert expiry is None or expiry > self.now

    @rule(most=st.integers(1, 5))
    def read(self, most: int) -> None:
        for answer in itertools.islice(iter(self.window.next_answer, None), most):
            assert answer.sequence == self.answered, "in order, each once"
            assert answer.frame_id == self.sent[answer.sequence]
            if answer.sequence not in self.good_ids:
                assert isinstance(answer.outcome, Failed)
                assert isinstance(answer.outcome.error, InvalidInput)
            elif answer.sequence in self.was_taken:
                assert answer.outcome is self.reported[answer.sequence]
            else:
                assert isinstance(answer.outcome, Dropped)
                if answer.outcome.reason is DropReason.OVERRUN:
                    assert self.limits.drop_policy is DropPolicy.OLDEST
                else:
                    assert self.expires[answer.sequence] <= self.now
            self.answered += 1

    @precondition(lambda self: len(self.sent) > 8)
    @rule()
    def close(self) -> None:
        self.window.close()

    @precondition(lambda self: len(self.sent) > 12)
    @rule()
    def cancel(self) -> None:
        unsettled = self.window.counters.pending
        before = self.window.counters.cancelled
        self.window.cancel()
        assert self.window.finished
        assert self.window.next_answer() is None
        assert self.window.counters.cancelled == before + unsettled

    @invariant()
    def counters_agree(self) -> None:
        counters = self.window.counters
        assert counters.received == len(self.sent)
        assert counters.delivered == self.answered
        assert counters.pending >= (0 if self.window.cancelled else len(self.taken))
        if not self.window.cancelled:
            wrong_ids = len(self.sent) - len(self.good_ids)
            faults = sum(isinstance(outcome, Failed) for outcome in self.reported.values())
            assert counters.failed == wrong_ids + faults
            assert counters.fused == len(self.reported) - faults
            assert counters.pending <= self.limits.max_in_flight

    @invariant()
    def bounded(self) -> None:
        if self.window.cancelled:
            return
        unread = sum(
            isinstance(outcome, Fused)
            for sequence, outcome in self.reported.items()
            if sequence >= self.answered
        )
        assert self.window.counters.pending + unread <= self.limits.max_in_flight
        if self.limits.drop_policy is DropPolicy.NONE:
            assert len(self.sent) - self.answered <= self.limits.max_in_flight

    def teardown(self) -> None:
        """Whatever happened: half-close, and everything sent is answered."""
        if not hasattr(self, "window") or self.window.cancelled:
            return
        self.window.close()
        while not self.window.exhausted:
            self.take()
        for frame in self.taken.values():
            self.reported[frame.sequence] = Fused(0)
            self.window.settle(frame, self.reported[frame.sequence])
        self.read(len(self.sent))
        assert self.answered == len(self.sent)
        assert self.window.finished
        assert self.window.counters.pending == 0


TestWindow = WindowMachine.TestCase
TestWindow.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    suppress_health_check=[HealthCheck.too_slow],
)
