"""The bounded queue in front of a model, and the threads that run it, one per device."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from crossfuse.engines import Engine, UInt8Array
from crossfuse.errors import CrossFuseError, DeadlineExceeded, EngineError, NotReady, Overloaded

# A refused caller that came back at once would only be refused again.
SHORTEST_RETRY = 0.01


@dataclass(frozen=True, slots=True)
class Inference:
    """What came out of the model, and where the time went, in seconds."""

    fused: UInt8Array
    queue_time: float
    infer_time: float
    batch_size: int


@dataclass(slots=True, eq=False)
class _Job:
    """One pair that waits: ir [H,W] and vis [H,W,3], uint8; times of the monotonic clock."""

    ir: UInt8Array
    vis: UInt8Array
    expires_at: float
    bounded: bool
    queued_at: float
    future: Future[Inference] = field(default_factory=Future)


class ModelQueue:
    """Runs pairs through the engines of one model: one thread per engine, one queue for all.

    A thread takes the next job when its engine is free, so several devices share the load by
    themselves. A job whose deadline passed, or whose future was cancelled because its caller went
    away, never reaches an engine; a cancelled one gives its place up at once.
    """

    def __init__(self, name: str, engines: Sequence[Engine], limit: int) -> None:
        self.name = name
        self._limit = limit
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._recent_infer_time = 0.05
        self._threads = [
            threading.Thread(
                target=self._work, args=(engine,), name=f"infer-{name}-{i}", daemon=True
            )
            for i, engine in enumerate(engines)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._jobs)

    def check_room(self) -> None:
        """Refuse a call that would not find a place, before work is spent on its pictures."""
        with self._changed:
            calls = sum(job.bounded for job in self._jobs)
            if calls < self._limit:
                return
            drained = len(self._jobs) * self._recent_infer_time / len(self._threads)
        raise Overloaded(
            f"queue of {self.name}: got more calls than the {self._limit} that may wait; "
            "valid: fewer calls at once, or a retry after the time given",
            retry_after=max(SHORTEST_RETRY, round(drained, 3)),
        )

    def submit(
        self, ir: UInt8Array, vis: UInt8Array, *, expires_at: float, bounded: bool = True
    ) -> Future[Inference]:
        """Queue one pair.

        `bounded` jobs are refused when the queue is full. The others are for streams, which are
        held back by their window instead, and are never refused.
        """
        job = _Job(ir, vis, expires_at, bounded, time.monotonic())
        with self._changed:
            if self._closed:
                raise self._shut_down()
            if bounded:
                self.check_room()
            self._jobs.append(job)
            self._changed.notify()
        job.future.add_done_callback(self._forget_cancelled)
        return job.future

    def close(self) -> None:
        """Take nothing more, refuse what waits, and end the threads."""
        with self._changed:
            self._closed = True
            dropped = list(self._jobs)
            self._jobs.clear()
            self._changed.notify_all()
        for job in dropped:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(self._shut_down())
        for thread in self._threads:
            thread.join()

    def _shut_down(self) -> NotReady:
        return NotReady(f"model {self.name} is being shut down; valid: another server")

    def _forget_cancelled(self, future: Future[Inference]) -> None:
        if not future.cancelled():
            return
        with self._changed:
            for job in self._jobs:
                if job.future is future:
                    self._jobs.remove(job)
                    break

    def _work(self, engine: Engine) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._closed)
                if not self._jobs:
                    return
                job = self._jobs.popleft()
            if job.future.set_running_or_notify_cancel():
                self._run(engine, job)
            del job  # its pictures are not kept while this thread waits for the next

    def _run(self, engine: Engine, job: _Job) -> None:
        started = time.monotonic()
        queue_time = started - job.queued_at
        try:
            if started >= job.expires_at:
                raise DeadlineExceeded(
                    f"deadline: passed after {queue_time:.3f} s in the queue of {self.name}; "
                    "valid: a longer deadline, or fewer calls at once"
                )
            fused = engine.fuse(job.ir[None], job.vis[None])[0]
        except CrossFuseError as error:
            job.future.set_exception(error)
        except Exception as error:
            job.future.set_exception(_fault(error))
        else:
            infer_time = time.monotonic() - started
            self._recent_infer_time += 0.2 * (infer_time - self._recent_infer_time)
            job.future.set_result(Inference(fused, queue_time, infer_time, batch_size=1))
        finally:
            # An error holds this frame: with the job in it, the pictures would live in a cycle.
            del job


def _fault(error: Exception) -> EngineError:
    fault = EngineError(f"the model could not be run: {error}")
    fault.__cause__ = error
    return fault
