"""Places for reading and writing pictures: as many at once as there are processors for it.

Who waits comes in when it is his turn: those who end a pair before those who begin one, so that
what was begun gets done, and clients in turn. Who could not be done within his deadline is refused
at once, and who runs out of it leaves without work being spent on his pictures.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic

from crossfuse.errors import DeadlineExceeded, Overloaded
from crossfuse_server.queue import DEADLINE_MARGIN, SHORTEST_RETRY
from crossfuse_server.timeline import DECODE, QUEUE, Timeline

# How far the mean time from one pair to the next follows each measurement.
FOLLOW = 0.1


@dataclass(frozen=True, slots=True)
class Claim:
    """Whose pictures they are, and until when somebody wants what becomes of them."""

    client: str
    expires_at: float = math.inf
    """By the monotonic clock."""
    goes_on: Callable[[], bool] = lambda: True
    """Whether the caller is still there."""


class Gate:
    """Lets so many pictures be read or written at once."""

    def __init__(self, places: int) -> None:
        self._places = places
        self._free = places
        self._lock = threading.Lock()
        self._ending: deque[threading.Event] = deque()
        self._beginning: OrderedDict[str, deque[threading.Event]] = OrderedDict()
        self._pair_seconds = 0.0  # from one pair that was read to the next, while others wait
        self._read_at: float | None = None

    @contextmanager
    def place(self, claim: Claim, timeline: Timeline, phase: str) -> Iterator[None]:
        """A place for DECODE or ENCODE; the wait for it, if there is one, is no part of that."""
        turn = self._ask(claim, phase)
        if turn is not None:
            timeline.enter(QUEUE)
            self._wait(turn, claim)
            timeline.enter(phase)
        try:
            yield
        finally:
            if phase == DECODE:
                self._measure()
            self._leave()

    def _ask(self, claim: Claim, phase: str) -> threading.Event | None:
        """What tells when it is his turn; None where there is a place now."""
        with self._lock:
            if self._free:
                self._free -= 1
                return None
            turn = threading.Event()
            if phase == DECODE:
                self._check_time(claim)
                self._beginning.setdefault(claim.client, deque()).append(turn)
            else:
                self._ending.append(turn)
            return turn

    def _wait(self, turn: threading.Event, claim: Claim) -> None:
        left = claim.expires_at - monotonic()
        turn.wait(None if left == math.inf else max(left, 0.0))
        if monotonic() < claim.expires_at and claim.goes_on():
            return
        with self._lock:
            waits = not turn.is_set()
            if waits:
                self._forget(turn, claim.client)
        if not waits:
            self._leave()
        raise DeadlineExceeded(
            "deadline: passed while other pictures were read and written; "
            "valid: a longer one, or fewer calls at once"
        )

    def _leave(self) -> None:
        """Give the place to whoever's turn it is."""
        with self._lock:
            if self._ending:
                self._ending.popleft().set()
            elif self._beginning:
                client, line = next(iter(self._beginning.items()))
                line.popleft().set()
                self._beginning.move_to_end(client)
                if not line:
                    del self._beginning[client]
            else:
                self._free += 1

    def _forget(self, turn: threading.Event, client: str) -> None:
        if turn in self._ending:
            self._ending.remove(turn)
            return
        line = self._beginning[client]
        line.remove(turn)
        if not line:
            del self._beginning[client]

    def _measure(self) -> None:
        """A pair has been read; what was written meanwhile took its part of the time."""
        with self._lock:
            now = monotonic()
            if self._read_at is not None:
                seconds = now - self._read_at
                mean = self._pair_seconds or seconds
                self._pair_seconds = mean + FOLLOW * (seconds - mean)
            self._read_at = now if self._beginning else None

    def _check_time(self, claim: Claim) -> None:
        """Refuse at once what cannot be done in time."""
        left = claim.expires_at - monotonic()
        turns = len(self._beginning.get(claim.client, ())) + 1
        others = (line for client, line in self._beginning.items() if client != claim.client)
        ahead = turns + sum(min(len(line), turns) for line in others)
        wait = ahead * self._pair_seconds
        itself = self._places * self._pair_seconds  # it has one of the places, for all its time
        if left < DEADLINE_MARGIN * (wait + itself):
            raise Overloaded(
                f"decoders: got a deadline in {max(left, 0.0):.3f} s, but the pictures that come "
                f"first take {wait:.3f} s; valid: a longer deadline, or a retry after the time "
                "given",
                retry_after=max(SHORTEST_RETRY, round(DEADLINE_MARGIN * wait - left, 3)),
            )
