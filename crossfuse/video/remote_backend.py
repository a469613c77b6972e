"""Fusing by a server, which may go away and come back."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from crossfuse.errors import CrossFuseError
from crossfuse.streaming import Failed, Frame, Fused, Outcome
from crossfuse.video.fusing import FusedPair, ReadyPair, Window

if TYPE_CHECKING:
    from crossfuse.client import Frame as ClientFrame
    from crossfuse.client import FusionClient

_log = logging.getLogger(__name__)

# One on its way there, one being fused, one on its way back.
IN_FLIGHT = 3
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0


class RemoteBackend:
    """Fuses through FuseStream of a server; opens the stream again when the server comes back.

    Pairs of recordings that were under way are sent again, pairs of live sources are given up.
    """

    in_flight = IN_FLIGHT + 1

    def __init__(
        self, client: FusionClient, *, model: str | None, live: bool, patience: float
    ) -> None:
        self.restarts = 0
        self._client = client
        self._model = model
        self._live = live
        self._patience = patience

    def work(self, window: Window) -> None:
        """Settle frames until the window has no more."""
        from crossfuse.client import ClientError

        lost: deque[Frame[ReadyPair]] = deque()
        silent_since: float | None = None
        pause, known = FIRST_PAUSE, False
        while True:
            supply = _Supply(window, lost)
            try:
                for answered in self._settled(window, supply):
                    if answered:
                        # One that is only waited for at first was not lost.
                        self.restarts += known and silent_since is not None
                        known, silent_since, pause = True, None, FIRST_PAUSE
                return
            except ClientError as error:
                now = time.monotonic()
                silent_since = now if silent_since is None else silent_since
                if not error.retryable or now - silent_since > self._patience:
                    raise
                _log.warning("%s; trying again", error)
                lost = supply.end()
                while self._live and lost:
                    window.settle(lost.popleft(), Failed(error))
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _settled(self, window: Window, supply: _Supply) -> Iterator[bool]:
        """One FuseStream call; yields after each frame whether the server itself settled it."""
        results = self._client.stream(
            supply, model=self._model, max_in_flight=IN_FLIGHT, ir_mapping="none"
        )
        for result in results:
            frame, answered = supply.under_way[0], True
            if result.image is not None:
                outcome: Outcome[FusedPair] = Fused(FusedPair(frame.payload, result.image))
            else:
                error = result.error or CrossFuseError(f"the server dropped it: {result.dropped}")
                answered = not getattr(error, "retryable", False)
                if not answered and not self._live:
                    raise error
                outcome = Failed(error)
            supply.under_way.popleft()
            window.settle(frame, outcome)
            yield answered


class _Supply:
    """The frames of one call: first those a lost call left, then those of the window."""

    def __init__(self, window: Window, lost: deque[Frame[ReadyPair]]) -> None:
        self.under_way: deque[Frame[ReadyPair]] = deque()
        """Sent and not yet answered."""
        self._window = window
        self._lost = lost
        self._ended = False
        self._taking = threading.Lock()

    def __iter__(self) -> Iterator[ClientFrame]:
        return self

    def __next__(self) -> ClientFrame:
        from crossfuse.client import Frame as ClientFrame

        with self._taking:
            if self._ended:
                raise StopIteration
            frame = self._lost.popleft() if self._lost else self._window.take()
            if frame is None:
                raise StopIteration
            self.under_way.append(frame)
        return ClientFrame(frame.payload.ir, frame.payload.vis)

    def end(self) -> deque[Frame[ReadyPair]]:
        """Give out no more frames; returns those without an answer, in order."""
        with self._taking:  # gRPC's thread may be waiting for a frame, which then belongs here
            self._ended = True
            return self.under_way + self._lost
