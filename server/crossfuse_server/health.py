"""grpc.health.v1: the server, its service and its models; asked or watched.

Not the one of grpcio-health-checking: that one sends to its watchers under a lock, so a watcher
that reads nothing could keep everybody from asking.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from crossfuse.errors import Overloaded
from crossfuse_server.statuses import as_status

SERVICE = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN

# Each holds a thread while it watches.
MOST_WATCHERS = 64

# How often a watcher looks whether its caller is still there.
LOOK_SECONDS = 5.0


class HealthServicer(health_pb2_grpc.HealthServicer):  # type: ignore[misc]  # has no types
    """Answers from `statuses`, which says for each service whether it serves.

    Services are "" and crossfuse.v1.FusionService for the default model, and NAME or NAME:VERSION
    for every model.
    """

    def __init__(self, statuses: Callable[[], dict[str, bool]]) -> None:
        self._statuses = statuses
        self._changed = threading.Condition()
        self._watchers = threading.Semaphore(MOST_WATCHERS)
        self._ended = False

    def changed(self) -> None:
        """Let watchers look again."""
        with self._changed:
            self._changed.notify_all()

    def end(self) -> None:
        """Let watchers go."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def Check(  # noqa: N802 - named by the proto
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> health_pb2.HealthCheckResponse:
        """Whether a service serves."""
        status = self._status(request.service)
        if status == SERVICE_UNKNOWN:
            known = ", ".join(repr(name) for name in self._statuses())
            context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"service: got one that is not here; valid: {known}",
            )
        return health_pb2.HealthCheckResponse(status=status)

    def Watch(  # noqa: N802 - named by the proto
        self, request: health_pb2.HealthCheckRequest, context: grpc.ServicerContext
    ) -> Iterator[health_pb2.HealthCheckResponse]:
        """Tell the state now, and whenever it changes."""
        if not self._watchers.acquire(blocking=False):
            context.abort_with_status(
                as_status(
                    Overloaded(
                        f"health: got one more watcher than the {MOST_WATCHERS} this server "
                        "tells; valid: Check instead of Watch",
                        retry_after=LOOK_SECONDS,
                    )
                )
            )
        try:
            context.add_callback(self.changed)
            told = None
            while context.is_active():
                status = self._status(request.service)
                if status != told:
                    told = status
                    yield health_pb2.HealthCheckResponse(status=status)
                    continue
                with self._changed:
                    if self._ended:
                        return
                    if self._status(request.service) == told:
                        self._changed.wait(LOOK_SECONDS)
        finally:
            self._watchers.release()

    def _status(self, service: str) -> health_pb2.HealthCheckResponse.ServingStatus:
        serves = self._statuses().get(service)
        if serves is None:
            return SERVICE_UNKNOWN
        return SERVING if serves else NOT_SERVING
