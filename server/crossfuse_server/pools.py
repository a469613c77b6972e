"""The threads that calls run in, apart, so that no kind of call can take those of another."""

from __future__ import annotations

from crossfuse.oip import SERVICE as INFERENCE_SERVICE
from crossfuse.oip import method_path
from crossfuse_server.admission import most_calls
from crossfuse_server.call_pool import CallPool
from crossfuse_server.health import MOST_WATCHERS
from crossfuse_server.patience import Patience
from crossfuse_server.settings import ServerSettings

FUSE = "/crossfuse.v1.FusionService/Fuse"
FUSE_STREAM = "/crossfuse.v1.FusionService/FuseStream"
INFER = method_path("ModelInfer")
INFER_STREAM = method_path("ModelStreamInfer")
WATCH = "/grpc.health.v1.Health/Watch"
REFLECTION = "/grpc.reflection."

# Services whose errors are ours; health and reflection have statuses of their own.
OURS = ("/crossfuse.", f"/{INFERENCE_SERVICE}/")

# Unary calls that bring pictures, with the name of their protocol.
FUSING = {FUSE: "grpc", INFER: "oip"}

# For calls that are about to be refused, beside those that are served.
SPARE_THREADS = 16

# Everything that answers at once: health, information, refused tokens. Sixteen would do, if there
# were no callers who hold one while they send nothing.
CONTROL_THREADS = 96

# A program that asks for the schema asks and goes; one that stays holds a thread for a while.
REFLECTION_THREADS = 8


class Pools:
    """One pool for each kind of call; threads are made when they are first needed."""

    def __init__(self, settings: ServerSettings) -> None:
        self.patience = Patience(settings)
        self.control = CallPool(CONTROL_THREADS, "control")
        self._calls = CallPool(most_calls(settings) + SPARE_THREADS, "call")
        self._streams = CallPool(2 * settings.max_streams + SPARE_THREADS, "stream-call")
        self._watchers = CallPool(MOST_WATCHERS + SPARE_THREADS, "health-watch")
        self._reflection = CallPool(REFLECTION_THREADS, "reflection")

    def of(self, method: str) -> CallPool:
        """Where the calls of a method run."""
        if method.startswith(REFLECTION):
            return self._reflection
        if method in FUSING:
            return self._calls
        if method in (FUSE_STREAM, INFER_STREAM):
            return self._streams
        return self._watchers if method == WATCH else self.control
