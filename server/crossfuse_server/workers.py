"""The engines of one model at work, and the watch over them.

An engine that does not come back in time is left to its thread, and opened again in another.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from crossfuse.engines import Engine
from crossfuse.errors import NotReady
from crossfuse_server.queue import ModelQueue
from crossfuse_server.worker import FIRST_PAUSE, LONGEST_PAUSE, Worker

log = logging.getLogger(__name__)

# How often stalled engines are looked for.
WATCH_SECONDS = 0.1

# A batch may take this many times what was measured for its size, on top of the setting.
PATIENCE_FACTOR = 20

# An engine that worked for so long is opened again without a pause.
LASTING_SECONDS = 60.0

Reopen = Callable[[int], Engine]
Probe = Callable[[Engine], None]


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
