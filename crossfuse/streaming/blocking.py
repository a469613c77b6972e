"""A window for threads: one pushes, others take and settle, one reads the answers."""

from __future__ import annotations

import copy
import threading
import time
from collections.abc import Callable, Iterator
from typing import Generic

from crossfuse.streaming.frames import Answer, Counters, Frame, Outcome, PayloadT, ResultT
from crossfuse.streaming.rules import StreamRules
from crossfuse.streaming.window import FrameWindow


class BlockingWindow(Generic[PayloadT, ResultT]):
    """FrameWindow behind a lock; every method may be called from any thread."""

    def __init__(self, rules: StreamRules, clock: Callable[[], float] = time.monotonic) -> None:
        self._window: FrameWindow[PayloadT, ResultT] = FrameWindow(rules)
        self._clock = clock
        self._changed = threading.Condition()

    @property
    def counters(self) -> Counters:
        """A copy of the counters as they are now."""
        with self._changed:
            return copy.deepcopy(self._window.counters)

    @property
    def closed(self) -> bool:
        """Whether no more frames are taken."""
        return self._window.closed

    def push(self, frame_id: int, payload: PayloadT, captured_at: float | None = None) -> bool:
        """Let a frame in, waiting for room; False when the stream takes no more frames."""
        with self._changed:
            self._changed.wait_for(lambda: self._window.has_room or self._window.closed)
            if self._window.closed:
                return False
            self._window.push(frame_id, payload, self._clock(), captured_at)
            self._changed.notify_all()
            return True

    def take(self) -> Frame[PayloadT] | None:
        """The next frame to fuse, waiting for one; None when no more will come."""
        with self._changed:
            while True:
                frame = self._window.take(self._clock())
                if frame is not None or self._window.exhausted:
                    return frame
                self._changed.wait()

    def settle(self, frame: Frame[PayloadT], outcome: Outcome[ResultT]) -> None:
        """Give a taken frame its outcome."""
        with self._changed:
            self._window.settle(frame, outcome)
            self._changed.notify_all()

    def answers(self) -> Iterator[Answer[ResultT]]:
        """The answers in order, as they become known, until the stream is finished."""
        while (answer := self._wait_for_answer()) is not None:
            yield answer

    def _wait_for_answer(self) -> Answer[ResultT] | None:
        with self._changed:
            while True:
                now = self._clock()
                self._window.expire(now)
                answer = self._window.next_answer()
                if answer is not None or self._window.finished:
                    self._changed.notify_all()
                    return answer
                expiry = self._window.next_expiry
                self._changed.wait(None if expiry is None else expiry - now)

    def close(self) -> None:
        """No frame will follow; those inside are still fused and answered."""
        with self._changed:
            self._window.close()
            self._changed.notify_all()

    def cancel(self) -> None:
        """Let go of everything; whoever waits returns."""
        with self._changed:
            self._window.cancel()
            self._changed.notify_all()
