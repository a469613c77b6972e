"""One engine and the thread that runs it; an engine that fails is opened again.

A fault fails the jobs of its batch alone. Then the engine is tried at the warm-up size: a picture
it cannot run is the caller's trouble, an engine that cannot run at all is closed and opened again.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.engines import Engine
from crossfuse.errors import CrossFuseError, DeviceLost, EngineError
from crossfuse_server.jobs import Inference, Job

if TYPE_CHECKING:
    from crossfuse_server.workers import Workers

log = logging.getLogger(__name__)

# An engine that cannot be opened is tried again after these pauses, in seconds.
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 30.0


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
