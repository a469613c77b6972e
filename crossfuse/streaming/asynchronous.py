"""A window for asyncio: the same calls as `blocking.py`, all of them in one event loop.

An engine that runs in a thread reports with `loop.call_soon_threadsafe(window.settle, ...)`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Generic

from crossfuse.streaming.frames import Answer, Counters, Frame, Outcome, PayloadT, ResultT
from crossfuse.streaming.rules import StreamRules
from crossfuse.streaming.window import FrameWindow


class AsyncWindow(Generic[PayloadT, ResultT]):
    """FrameWindow with waits; not safe to call from other threads."""

    def __init__(self, rules: StreamRules, clock: Callable[[], float] = time.monotonic) -> None:
        self._window: FrameWindow[PayloadT, ResultT] = FrameWindow(rules)
        self._clock = clock
        self._changed = asyncio.Event()

    @property
    def counters(self) -> Counters:
        """The counters; read, do not write."""
        return self._window.counters

    async def push(
        self, frame_id: int, payload: PayloadT, captured_at: float | None = None
    ) -> bool:
        """Let a frame in, waiting for room; False when the stream takes no more frames."""
        while not (self._window.has_room or self._window.closed):
            await self._changed.wait()
        if self._window.closed:
            return False
        self._window.push(frame_id, payload, self._clock(), captured_at)
        self._wake()
        return True

    async def take(self) -> Frame[PayloadT] | None:
        """The next frame to fuse, waiting for one; None when no more will come."""
        while True:
            frame = self._window.take(self._clock())
            if frame is not None or self._window.exhausted:
                return frame
            await self._changed.wait()

    def settle(self, frame: Frame[PayloadT], outcome: Outcome[ResultT]) -> None:
        """Give a taken frame its outcome."""
        self._window.settle(frame, outcome)
        self._wake()

    async def answers(self) -> AsyncIterator[Answer[ResultT]]:
        """The answers in order, as they become known, until the stream is finished."""
        while (answer := await self._wait_for_answer()) is not None:
            yield answer

    async def _wait_for_answer(self) -> Answer[ResultT] | None:
        while True:
            now = self._clock()
            self._window.expire(now)
            answer = self._window.next_answer()
            if answer is not None or self._window.finished:
                self._wake()
                return answer
            expiry = self._window.next_expiry
            try:
                async with asyncio.timeout(None if expiry is None else expiry - now):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def close(self) -> None:
        """No frame will follow; those inside are still fused and answered."""
        self._window.close()
        self._wake()

    def cancel(self) -> None:
        """Let go of everything; whoever waits returns."""
        self._window.cancel()
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
