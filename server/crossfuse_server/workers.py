"""The threads that run a model, one per engine; an engine that fails is opened again.

A fault fails the jobs of its batch alone. Then the engine is tried at the warm-up size: a picture
it cannot run is the caller's trouble, an engine that cannot run at all is closed and opened again.
An engine that does not come back in time is left to its thread, and opened again in another.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.engines import Engine
from crossfuse.errors import CrossFuseError, DeviceLost, EngineError, NotReady
from crossfuse_server.jobs import Inference, Job
from crossfuse_server.queue import ModelQueue

log = logging.getLogger(__name__)

# How often stalled engines are looked for.
WATCH_SECONDS = 0.1

# A batch may take this many times what was measured for its size, on top of the setting.
PATIENCE_FACTOR = 20

# An engine that cannot be opened, or does not last, is tried again after these pauses.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0
LASTING_SECONDS = 60.0

Reopen = Callable[[int], Engine]
Probe = Callable[[Engine], None]


class Worker:
    """One engine and the thread that runs it."""

    def __init__(self, group: Workers, number: int, engine: Engine | None) -> None:
        self.trouble = ""
        """Why there is no engine at present."""
        self._group = group
        self._number = number
        self._engine = engine
        self._lock = threading.Lock()
        self._jobs: list[Job] = []
        self._due: float | None = None
        self._abandoned = False
        self.thread = threading.Thread(
            target=self._work, name=f"infer-{group.queue.name}-{number}", daemon=True
        )

    def give_up_if_stalled(self, now: float) -> bool:
        """Whether the engine has taken too long; then its jobs fail and its thread is left."""
        with self._lock:
            if self._due is None or now < self._due or self._abandoned:
                return False
        self.abandon(EngineError("the engine did not come back in time"))
        return True

    def abandon(self, error: Exception) -> None:
        """Fail what runs; what the engine makes of it when it comes back is thrown away."""
        with self._lock:
            jobs, self._jobs = self._jobs, []
            self._abandoned = True
        if jobs:
            self._group.queue.done(jobs)
        for job in jobs:
            job.future.set_exception(error)

    def _stopped(self) -> bool:
        return self._abandoned or self._group.closed.is_set()

    def _work(self) -> None:
        while not self._stopped():
            if self._engine is None and not self._open():
                return
            jobs = self._group.queue.take(self._stopped)
            if jobs:
                self._run(jobs)
            del jobs  # their pictures are not kept while this thread waits for the next
        self._close()

    def _run(self, jobs: list[Job]) -> None:
        queue, engine = self._group.queue, self._engine
        assert engine is not None, "a worker without an engine takes no jobs"
        pixels = sum(job.pixels for job in jobs)
        started = time.monotonic()
        with self._lock:
            self._jobs = jobs
            self._due = started + self._group.patience(pixels)
        fault: Exception | None = None
        try:
            fused = _run_engine(engine, *together(jobs))
        except Exception as error:
            fault = error if isinstance(error, CrossFuseError) else _fault(error)
        ended = time.monotonic()
        with self._lock:
            if self._abandoned:
                return
            self._jobs, self._due = [], None
        queue.done(jobs)
        if fault is not None:
            for job in jobs:
                job.future.set_exception(fault)
            # An error holds this frame: with the jobs in it, the pictures would live in a cycle.
            del jobs, job
            if isinstance(fault, EngineError):
                self._check(engine, fault)
            del fault
            return
        queue.pace.add(ended - started, pixels)
        self._group.on_run(len(jobs), ended - started)
        for picture, job in zip(fused, jobs, strict=True):
            job.future.set_result(Inference(picture, started, ended, len(jobs)))

    def _check(self, engine: Engine, fault: EngineError) -> None:
        """Give up an engine that is broken, not only at odds with one picture."""
        if not isinstance(fault, DeviceLost) and self._passes_probe(engine):
            return
        if self._abandoned:
            return
        self._close()
        self.trouble = f"the engine failed: {fault}"
        self._group.changed()

    def _passes_probe(self, engine: Engine) -> bool:
        with self._lock:
            self._due = time.monotonic() + self._group.patience(0)
        try:
            self._group.probe(engine)
        except Exception as error:
            log.info("%s: the engine fails at the warm-up size: %s", self._group.queue.name, error)
            return False
        finally:
            with self._lock:
                self._due = None
        return True

    def _open(self) -> bool:
        """Open the engine again; False when the worker was stopped meanwhile."""
        pause = self._group.pause_before_opening()
        while not self._group.closed.wait(pause):
            try:
                engine = self._group.reopen(self._number)
            except Exception as error:
                log.error("%s: engine %d: %s", self._group.queue.name, self._number, error)
                self.trouble = f"the engine could not be opened again: {error}"
                self._group.changed()
                pause = min(max(2 * pause, FIRST_PAUSE), LONGEST_PAUSE)
                continue
            if self._stopped():
                engine.close()
                return False
            self._engine, self.trouble = engine, ""
            log.warning("%s: engine %d was opened again", self._group.queue.name, self._number)
            self._group.changed()
            return True
        return False

    def _close(self) -> None:
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.close()


class Workers:
    """The workers of one model, and the watch over them."""

    def __init__(
        self,
        queue: ModelQueue,
        engines: Sequence[Engine],
        *,
        reopen: Reopen,
        probe: Probe,
        stall_seconds: float,
        on_change: Callable[[], None],
        on_run: Callable[[int, float], None],
    ) -> None:
        self.queue = queue
        self.closed = threading.Event()
        self.reopen = reopen
        self.probe = probe
        self.on_run = on_run
        self._stall_seconds = stall_seconds
        self._on_change = on_change
        self._opened_at: list[float] = []
        self._workers = [Worker(self, number, engine) for number, engine in enumerate(engines)]
        self.queue.workers = len(engines)
        for worker in self._workers:
            worker.thread.start()
        threading.Thread(target=self._watch, name=f"watch-{queue.name}", daemon=True).start()

    @property
    def alive(self) -> int:
        """How many have an engine."""
        return sum(not worker.trouble for worker in self._workers)

    @property
    def troubles(self) -> list[str]:
        """Why the others have none."""
        return [worker.trouble for worker in self._workers if worker.trouble]

    def patience(self, pixels: int) -> float:
        """Seconds after which a batch counts as stalled."""
        return self._stall_seconds + PATIENCE_FACTOR * self.queue.pace.expected(pixels)

    def pause_before_opening(self) -> float:
        """Seconds: 0 after an engine that lasted, more and more for one that keeps failing."""
        now = time.monotonic()
        self._opened_at = [at for at in self._opened_at if now - at < LASTING_SECONDS]
        self._opened_at.append(now)
        recent = len(self._opened_at) // max(len(self._workers), 1) - 3
        return 0.0 if recent < 0 else min(FIRST_PAUSE * 2**recent, LONGEST_PAUSE)

    def changed(self) -> None:
        """A worker lost its engine or has one again."""
        self.queue.workers = self.alive
        if not self.alive:
            self.queue.refuse_waiting(NotReady(f"model {self.queue.name}: {self.troubles[0]}"))
        self._on_change()

    def close(self, wait: float) -> None:
        """End the threads and close the engines; those that hang are left behind after `wait` s."""
        self.closed.set()
        self.queue.close()
        end = time.monotonic() + wait
        for worker in self._workers:
            worker.thread.join(max(end - time.monotonic(), 0.0))
        for worker in self._workers:
            if worker.thread.is_alive():
                worker.abandon(NotReady(f"model {self.queue.name} was shut down while it ran"))

    def _watch(self) -> None:
        while not self.closed.wait(WATCH_SECONDS):
            now = time.monotonic()
            for number, worker in enumerate(self._workers):
                if worker.give_up_if_stalled(now):
                    log.error("%s: engine %d stalled; another is opened", self.queue.name, number)
                    fresh = Worker(self, number, None)
                    fresh.trouble = "the engine stalled and is being opened again"
                    self._workers[number] = fresh
                    self.changed()
                    fresh.thread.start()


def _run_engine(engine: Engine, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
    fused = engine.fuse(ir, vis)
    if fused.shape != vis.shape:
        raise EngineError(f"the engine made {fused.shape} of {vis.shape}")
    return fused


def together(jobs: list[Job]) -> tuple[UInt8Array, UInt8Array]:
    """The pictures as a batch; of one pair a view, so that nothing is copied."""
    if len(jobs) == 1:
        return jobs[0].ir[None], jobs[0].vis[None]
    return np.stack([job.ir for job in jobs]), np.stack([job.vis for job in jobs])


def _fault(error: Exception) -> EngineError:
    fault = EngineError(f"the model could not be run: {error}")
    fault.__cause__ = error
    return fault
