"""Fusing a stream of pairs under the rules of crossfuse/streaming: in this process or by a server.

Either way the pairs wait in one window: recordings are held back until there is room, of live
sources the oldest waiting pair gives way to the newest, and answers come in order.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from crossfuse.arrays import UInt8Array
from crossfuse.errors import CrossFuseError
from crossfuse.fuser import Fuser
from crossfuse.streaming import (
    Answer,
    BlockingWindow,
    DropPolicy,
    Failed,
    Frame,
    Fused,
    Outcome,
    StreamRules,
)
from crossfuse.video.turns import turns_of

if TYPE_CHECKING:
    from crossfuse.client import Frame as ClientFrame
    from crossfuse.client import FusionClient

_log = logging.getLogger(__name__)


# One frame is fused while the next one waits.
LOCAL_IN_FLIGHT = 2
# One on its way there, one being fused, one on its way back.
REMOTE_IN_FLIGHT = 3
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0


@dataclass(frozen=True, slots=True, eq=False)
class ReadyPair:
    """A pair as models take it: ir uint8 HxW; vis, of the same size, uint8 HxWx3 RGB or HxW."""

    ir: UInt8Array
    vis: UInt8Array
    position: int
    arrived_at: float


@dataclass(frozen=True, slots=True, eq=False)
class FusedPair:
    """A pair and the picture made of it."""

    pair: ReadyPair
    fused: UInt8Array


Window = BlockingWindow[ReadyPair, FusedPair]


class Backend(Protocol):
    """What takes pairs out of a window and settles them, in a thread of the caller."""

    in_flight: int
    restarts: int

    def work(self, window: Window) -> None:
        """Settle frames until the window has no more."""


class LocalBackend:
    """Fuses with a model of this process, which other streams may share."""

    in_flight = LOCAL_IN_FLIGHT
    restarts = 0

    def __init__(self, fuser: Fuser) -> None:
        self._fuser = fuser
        self._turns = turns_of(fuser)

    def work(self, window: Window) -> None:
        """Settle frames until the window has no more."""
        while (frame := window.take()) is not None:
            pair = frame.payload
            try:
                with self._turns:
                    fused = self._fuser.fuse(pair.ir, pair.vis)
            except CrossFuseError as error:
                window.settle(frame, Failed(error))
            else:
                window.settle(frame, Fused(FusedPair(pair, fused)))


class RemoteBackend:
    """Fuses through FuseStream of a server; opens the stream again when the server comes back.

    Pairs of recordings that were under way are sent again, pairs of live sources are given up.
    """

    in_flight = REMOTE_IN_FLIGHT + 1

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
        pause = FIRST_PAUSE
        while True:
            supply = _Supply(window, lost)
            try:
                for _ in self._settled(window, supply):
                    silent_since, pause = None, FIRST_PAUSE
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
                self.restarts += 1
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _settled(self, window: Window, supply: _Supply) -> Iterator[None]:
        """One FuseStream call; yields after each frame that was settled."""
        results = self._client.stream(
            supply, model=self._model, max_in_flight=REMOTE_IN_FLIGHT, ir_mapping="none"
        )
        for result in results:
            frame = supply.under_way[0]
            if result.image is not None:
                outcome: Outcome[FusedPair] = Fused(FusedPair(frame.payload, result.image))
            else:
                error = result.error or CrossFuseError(f"the server dropped it: {result.dropped}")
                if getattr(error, "retryable", False) and not self._live:
                    raise error
                outcome = Failed(error)
            supply.under_way.popleft()
            window.settle(frame, outcome)
            yield


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


class FusingStream:
    """Runs pairs through a backend; iterate over `answers`."""

    def __init__(self, backend: Backend, *, live: bool, deadline: float | None) -> None:
        self._backend = backend
        self._window: Window = BlockingWindow(
            StreamRules(
                max_in_flight=backend.in_flight,
                drop_policy=DropPolicy.OLDEST if live else DropPolicy.NONE,
                deadline=deadline,
            )
        )
        self.failure: Exception | None = None
        """What ended the work before its time."""

    @property
    def window(self) -> Window:
        """The window, for its counters."""
        return self._window

    def answers(self, pairs: Iterable[ReadyPair]) -> Iterator[Answer[FusedPair]]:
        """The answers, in order; two threads feed and fuse. Raises what ended them early."""
        threads = [
            threading.Thread(target=self._feed, args=(pairs,), name="pairs", daemon=True),
            threading.Thread(target=self._work, name="fusing", daemon=True),
        ]
        for thread in threads:
            thread.start()
        yield from self._window.answers()
        if self.failure is not None:
            raise self.failure

    @property
    def restarts(self) -> int:
        """How often a lost server was come back to."""
        return self._backend.restarts

    def stop(self) -> None:
        """Take no more pairs; what is inside is finished."""
        self._window.close()

    def _feed(self, pairs: Iterable[ReadyPair]) -> None:
        try:
            for number, pair in enumerate(pairs):
                if not self._window.push(number, pair, pair.arrived_at):
                    return
            self._window.close()
        except Exception as error:
            self.failure = error
            self._window.close()

    def _work(self) -> None:
        try:
            self._backend.work(self._window)
        except Exception as error:
            self.failure = error
            self._window.cancel()
