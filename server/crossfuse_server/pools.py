"""The threads that calls run in, apart, so that no kind of call can take those of another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from crossfuse_server.admission import most_calls
from crossfuse_server.health import MOST_WATCHERS
from crossfuse_server.settings import ServerSettings

FUSE = "/crossfuse.v1.FusionService/Fuse"
FUSE_STREAM = "/crossfuse.v1.FusionService/FuseStream"
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection."

# For calls that are about to be refused, beside those that are served.
SPARE_THREADS = 16

# Everything that answers at once: health, information, refused tokens.
CONTROL_THREADS = 16

# A program that asks for the schema asks and goes; one that stays holds a thread for a while.
REFLECTION_THREADS = 8


class Pools:
    """One pool for each kind of call; threads are made when they are first needed."""

    def __init__(self, settings: ServerSettings) -> None:
        def pool(threads: int, name: str) -> ThreadPoolExecutor:
            return ThreadPoolExecutor(threads, thread_name_prefix=name)

        self.control = pool(CONTROL_THREADS, "control")
        self._calls = pool(most_calls(settings) + SPARE_THREADS, "call")
        self._streams = pool(settings.max_streams + SPARE_THREADS, "stream-call")
        self._watchers = pool(MOST_WATCHERS + SPARE_THREADS, "health-watch")
        self._reflection = pool(REFLECTION_THREADS, "reflection")

    def of(self, method: str) -> ThreadPoolExecutor:
        """Where the calls of a method run."""
        if method.startswith(REFLECTION):
            return self._reflection
        return {FUSE: self._calls, FUSE_STREAM: self._streams, WATCH: self._watchers}.get(
            method, self.control
        )
