"""One model of a server: a bundle on its way from found to ready, and to retired."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from enum import Enum
from functools import partial

from crossfuse.bundles import Bundle
from crossfuse.engines import Engine, EngineDescription
from crossfuse.errors import CrossFuseError, EngineError, NotReady
from crossfuse_server.engines import EngineSource, batch_rules
from crossfuse_server.observations import Observations
from crossfuse_server.queue import ModelQueue
from crossfuse_server.settings import ServerSettings
from crossfuse_server.statuses import ModelFailed
from crossfuse_server.workers import Workers

log = logging.getLogger(__name__)

# How long the end of a model waits for what an engine is running.
CLOSE_SECONDS = 1.0


class State(Enum):
    """What a server or a model is doing."""

    LOADING = "loading"
    SERVING = "serving"
    DRAINING = "draining"
    FAILED = "failed"


class ServedModel:
    """A bundle, its queue and its workers.

    `notice` says what is wrong although it serves, such as a newer bundle that could not be loaded
    in its place.
    """

    def __init__(
        self, bundle: Bundle, on_change: Callable[[], None], observations: Observations
    ) -> None:
        self.bundle = bundle
        self.error: CrossFuseError | None = None
        self.notice = ""
        self.descriptions: tuple[EngineDescription, ...] = ()
        self._on_change = on_change
        self._observations = observations
        self._workers: Workers | None = None
        self._users = 0
        self._retired = False
        self._closed = False
        self._lock = threading.Lock()

    @property
    def state(self) -> State:
        """Loading, also while no engine is left and one is being opened again."""
        if self.error is not None:
            return State.FAILED
        return State.SERVING if self._workers and self._workers.alive else State.LOADING

    @property
    def message(self) -> str:
        """Why it could not be loaded, or what else is wrong, or nothing."""
        if self.error is not None:
            return str(self.error)
        troubles = self._workers.troubles if self._workers else []
        return "; ".join([*dict.fromkeys(troubles), *([self.notice] if self.notice else [])])

    @property
    def queue(self) -> ModelQueue:
        """The queue of a model that is ready."""
        if self.error is not None:
            raise ModelFailed(f"model: {self.bundle.reference} could not be loaded: {self.message}")
        if self._workers is None:
            raise NotReady(f"model: {self.bundle.reference} is still loading")
        if not self._workers.alive:
            raise NotReady(f"model: {self.bundle.reference}: {self.message}")
        return self._workers.queue

    @property
    def waiting(self) -> int:
        """How many pairs wait for it."""
        return self._workers.queue.waiting if self._workers else 0

    @property
    def engines(self) -> int:
        """How many engines it has at present."""
        return self._workers.alive if self._workers else 0

    @property
    def max_batch(self) -> int:
        """Most pairs that run together; 1 before it is loaded."""
        return self._workers.queue.rules.max_batch if self._workers else 1

    def load(self, source: EngineSource, settings: ServerSettings) -> None:
        """Load and warm up; the outcome is in `state` and `error`."""
        if self._closed:
            return
        try:
            engines = source.open(self.bundle)
            rules = batch_rules(settings, engines[0])
        except CrossFuseError as error:
            log.error("model %s could not be loaded: %s", self.bundle.reference, error)
            self.error = error
            return
        except Exception as error:
            log.exception("model %s could not be loaded", self.bundle.reference)
            self.error = EngineError(f"{type(error).__name__}: {error}")
            return
        with self._lock:
            if self._closed:  # while it was loading
                for engine in engines:
                    engine.close()
                return
            self.descriptions = tuple(engine.describe() for engine in engines)
            queue = ModelQueue(self.bundle.reference, settings.max_queue, rules)
            if warm_up_seconds := source.warm_up_seconds(self.bundle):
                queue.pace.guess(warm_up_seconds, math.prod(settings.warm_up_size))
            self._workers = Workers(
                queue,
                engines,
                reopen=partial(source.reopen, self.bundle),
                probe=lambda engine: _probe(engine, settings),
                stall_seconds=settings.stall_seconds,
                on_change=self._on_change,
                on_run=partial(
                    self._observations.add_execution,
                    self.bundle.manifest.name,
                    str(self.bundle.manifest.version),
                ),
            )
        log.info(
            "model %s is ready on %s",
            self.bundle.reference,
            ", ".join(dict.fromkeys(description.device for description in self.descriptions)),
        )

    def hold(self) -> None:
        """Somebody is about to use it: its queue stays open until `release`."""
        with self._lock:
            self._users += 1

    def release(self) -> None:
        """The counterpart of `hold`."""
        with self._lock:
            self._users -= 1
            over = self._retired and not self._users
        if over:
            self._close_aside()

    def retire(self) -> None:
        """Nobody gets it any more: close it when its last user has gone."""
        with self._lock:
            self._retired = True
            over = not self._users
        if over:
            self._close_aside()

    def close(self) -> None:
        """Refuse what still waits, end the worker threads and free the devices."""
        with self._lock:
            self._closed = True
            workers = self._workers
        if workers is not None:
            workers.close(CLOSE_SECONDS)

    def _close_aside(self) -> None:
        """Not in the thread of the call that was the last one to use it."""
        threading.Thread(target=self.close, name="retire", daemon=True).start()


def _probe(engine: Engine, settings: ServerSettings) -> None:
    engine.warm_up(*settings.warm_up_size)
