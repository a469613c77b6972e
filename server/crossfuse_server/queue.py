"""The bounded queue in front of a model, and the threads that run it, one per device."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from crossfuse.engines import Engine, UInt8Array
from crossfuse.errors import CrossFuseError, DeadlineExceeded, EngineError, NotReady, Overloaded

log = logging.getLogger(__name__)


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
    queued_at: float
    future: Future[Inference] = field(default_factory=Future)


class ModelQueue:
    """Runs pairs through the engines of one model: one thread per engine, one queue for all.

    A thread takes the next job when its engine is free, so several devices share the load by
    themselves. A job whose deadline passed, or whose caller went away, never reaches an engine.
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

    def submit(
        self, ir: UInt8Array, vis: UInt8Array, *, expires_at: float, wait: bool = False
    ) -> Future[Inference]:
        """Queue one pair; a full queue refuses it with a time to come back, or is waited for."""
        job = _Job(ir, vis, expires_at, time.monotonic())
        with self._changed:
            if wait:
                self._changed.wait_for(lambda: self._closed or len(self._jobs) < self._limit)
            if self._closed:
                raise NotReady(f"model {self.name} is being shut down; try another server")
            if len(self._jobs) >= self._limit:
                raise Overloaded(
                    f"queue of {self.name}: got more calls than the {self._limit} that may wait; "
                    "valid: fewer calls at once, or a retry after the time given",
                    retry_after=self._time_to_drain(),
                )
            self._jobs.append(job)
            self._changed.notify_all()
        return job.future

    def close(self, *, finish: bool = True) -> None:
        """Take nothing more; finish what waits, or refuse it, and end the threads."""
        with self._changed:
            self._closed = True
            dropped = [] if finish else list(self._jobs)
            if not finish:
                self._jobs.clear()
            self._changed.notify_all()
        for job in dropped:
            if job.future.set_running_or_notify_cancel():
                job.future.set_exception(NotReady(f"model {self.name} is being shut down"))
        for thread in self._threads:
            thread.join()

    def _time_to_drain(self) -> float:
        return round(len(self._jobs) * self._recent_infer_time / len(self._threads), 3)

    def _next(self) -> _Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            if not self._jobs:
                return None
            job = self._jobs.popleft()
            self._changed.notify_all()
            return job

    def _work(self, engine: Engine) -> None:
        while (job := self._next()) is not None:
            if not job.future.set_running_or_notify_cancel():
                continue
            started = time.monotonic()
            if started >= job.expires_at:
                job.future.set_exception(
                    DeadlineExceeded(
                        f"deadline: passed after {started - job.queued_at:.3f} s in the queue of "
                        f"{self.name}; valid: a longer deadline, or fewer calls at once"
                    )
                )
                continue
            try:
                fused = engine.fuse(job.ir[None], job.vis[None])[0]
            except CrossFuseError as error:
                job.future.set_exception(error)
            except Exception as error:
                log.exception("engine of %s failed", self.name)
                job.future.set_exception(EngineError(f"the model could not be run: {error}"))
            else:
                infer_time = time.monotonic() - started
                self._recent_infer_time += 0.2 * (infer_time - self._recent_infer_time)
                job.future.set_result(
                    Inference(fused, started - job.queued_at, infer_time, batch_size=1)
                )
