"""The bounded queue in front of a model: admits jobs, and hands them to the workers in batches."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from crossfuse.errors import DeadlineExceeded, NotReady, Overloaded
from crossfuse_server.batching import BatchRules, Pending
from crossfuse_server.jobs import Inference, Job
from crossfuse_server.pace import Pace
from crossfuse_server.shares import Shares

# A refused caller that came back at once would only be refused again.
SHORTEST_RETRY = 0.01

# The measured time of what waits is a mean; a call is let in when it would be done even if it all
# took this many times as long.
DEADLINE_MARGIN = 1.5


class ModelQueue:
    """Admits jobs and hands them out; a worker that is free takes the next ones.

    `limit` calls of one client may wait, of all clients together less than twice as many (Shares).
    A job whose deadline passed, or whose future was cancelled because its caller went away, is
    never handed out; a cancelled one gives its place up at once.
    """

    def __init__(self, name: str, limit: int, rules: BatchRules | None = None) -> None:
        self.name = name
        self.pace = Pace()
        self.workers = 1
        """How many take from the queue at present."""
        self._limit = limit
        self._places = Shares(2 * limit)
        self._pending = Pending(rules or BatchRules())
        self._changed = threading.Condition()
        self._closed = False
        self._running = 0  # pixels of the jobs that were taken and are not done

    @property
    def rules(self) -> BatchRules:
        """How jobs are put together."""
        return self._pending.rules

    @rules.setter
    def rules(self, rules: BatchRules) -> None:
        with self._changed:
            self._pending.rules = rules
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        with self._changed:
            return len(self._pending)

    def check_room(self, client: str, expires_at: float, priority: int) -> None:
        """Refuse a call without a place or without time, before work is spent on its pictures."""
        if not self._places.has_room(client):
            raise self._full()
        if self.pace.least(1):  # what is measured is not too old
            with self._changed:
                self._check_wait(expires_at - time.monotonic(), client, priority, 0.0)

    def submit(self, job: Job) -> Future[Inference]:
        """Queue one pair, or refuse it: no place, or no way to be done within its deadline."""
        with self._changed:
            if self._closed:
                raise self._shut_down()
            self._check_time(job)
            if job.bounded and not self._places.take(job.client):
                raise self._full()
            self._pending.add(job)
            self._changed.notify()
        job.future.add_done_callback(self._forget_cancelled)
        return job.future

    def take(self, stopped: Callable[[], bool]) -> list[Job]:
        """The next jobs to run, waiting for them; none when the queue or its taker has stopped.

        Whoever takes them calls `done` with them.
        """
        while (batch := self._next_batch(stopped)) is not None:
            ready = [job for job in batch if self._is_worth_running(job)]
            if ready:
                with self._changed:
                    self._running += sum(job.pixels for job in ready)
                return ready
            del batch  # its pictures are not kept during the wait for the next
        return []

    def done(self, jobs: list[Job]) -> None:
        """Jobs that were taken have been run."""
        with self._changed:
            self._running -= sum(job.pixels for job in jobs)

    def refuse_waiting(self, error: Exception) -> None:
        """Fail every job that waits."""
        with self._changed:
            refused = list(self._pending)
            for job in refused:
                self._pending.remove(job)
                self._free_place(job)
        for job in refused:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(error)

    def close(self) -> None:
        """Take nothing more, and refuse what waits."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self.refuse_waiting(self._shut_down())

    def _next_batch(self, stopped: Callable[[], bool]) -> list[Job] | None:
        with self._changed:
            while not self._closed and not stopped():
                now = time.monotonic()
                batch = self._pending.next_batch(now)
                if batch:
                    for job in batch:
                        self._free_place(job)
                    return batch
                wait = self._pending.next_time() - now
                self._changed.wait(None if wait == math.inf else max(wait, 0.0))
        return None

    def _is_worth_running(self, job: Job) -> bool:
        if not job.future.set_running_or_notify_cancel():
            return False
        now = time.monotonic()
        if now < job.expires_at:
            return True
        job.future.set_exception(
            DeadlineExceeded(
                f"deadline: passed after {now - job.queued_at:.3f} s in the queue of {self.name}; "
                "valid: a longer deadline, or fewer calls at once"
            )
        )
        return False

    def _check_time(self, job: Job) -> None:
        """Refuse at once what cannot be done in time; a stream drops its late frames itself."""
        left = job.expires_at - time.monotonic()
        if not job.bounded or left == math.inf:
            return
        least = self.pace.least(job.pixels)
        if not least:
            return
        if left < least:
            raise DeadlineExceeded(
                f"deadline: got {max(left, 0):.3f} s; valid: more than the {least:.3f} s that "
                f"{self.name} takes for a pair of this size"
            )
        self._check_wait(left, job.client, job.priority, least)

    def _check_wait(self, left: float, client: str, priority: int, least: float) -> None:
        """Refuse what would still wait when its time is over."""
        ahead = self._time_for(self._pending.pixels_ahead(client, priority))
        if ahead and left < DEADLINE_MARGIN * (ahead + least):
            raise Overloaded(
                f"queue of {self.name}: got a deadline in {left:.3f} s, but what waits takes "
                f"{ahead:.3f} s; valid: a longer deadline, or a retry after the time given",
                retry_after=max(SHORTEST_RETRY, round(DEADLINE_MARGIN * ahead - left, 3)),
            )

    def _time_for(self, waiting: int) -> float:
        """Seconds until so many pixels of those that wait, and what is being run, have been run."""
        pixels = self._running + waiting
        return self.pace.expected(pixels) / max(self.workers, 1) if pixels else 0.0

    def _full(self) -> Overloaded:
        with self._changed:
            drained = self._time_for(sum(job.pixels for job in self._pending))
        return Overloaded(
            f"queue of {self.name}: got more calls than the {self._limit} that may wait; "
            "valid: fewer calls at once, or a retry after the time given",
            retry_after=max(SHORTEST_RETRY, round(drained, 3)),
        )

    def _shut_down(self) -> NotReady:
        return NotReady(f"model {self.name} is being shut down; valid: another server")

    def _free_place(self, job: Job) -> None:
        if job.bounded:
            self._places.give_back(job.client)

    def _forget_cancelled(self, future: Future[Inference]) -> None:
        if not future.cancelled():
            return
        with self._changed:
            for job in self._pending:
                if job.future is future:
                    self._pending.remove(job)
                    self._free_place(job)
                    break
