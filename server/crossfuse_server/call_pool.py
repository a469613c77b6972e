"""A pool of threads for calls."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any


class CallPool(ThreadPoolExecutor):
    """Threads for calls, that know whether a call waits for one of them."""

    def __init__(self, threads: int, name: str) -> None:
        super().__init__(threads, thread_name_prefix=name)
        self._places = threads
        self._calls_here = 0
        self._count_lock = threading.Lock()

    @property
    def is_crowded(self) -> bool:
        """Whether there are more calls than threads."""
        return self._calls_here > self._places

    def submit(self, work: Callable[..., Any], /, *args: Any, **options: Any) -> Future[Any]:
        """Run a call as soon as there is a thread."""
        self._count(1)
        try:
            future = super().submit(work, *args, **options)
        except RuntimeError:  # it was shut down
            self._count(-1)
            raise
        future.add_done_callback(lambda _: self._count(-1))
        return future

    def _count(self, change: int) -> None:
        with self._count_lock:
            self._calls_here += change
