"""One replica: a whole FusionServer, and the methods that Ray calls for it."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import ray
from ray import serve

from crossfuse.errors import EngineError
from crossfuse_server.app import FusionServer
from crossfuse_server.engines import OpenEngines
from crossfuse_server.models import State
from crossfuse_server.ray_serve.door import FUSE, FUSE_STREAM, SERVICE
from crossfuse_server.ray_serve.forwarding import (
    Forwarder,
    Payload,
    RayContext,
    by_forwarded_peer,
)
from crossfuse_server.ray_serve.health_checks import HealthChecks
from crossfuse_server.ray_serve.metrics import ReplicaMetrics
from crossfuse_server.settings import load_settings

# How long a replica may take to load its default model.
LOAD_SECONDS = 600.0

# The server inside is reached by its replica only: Ray's proxies listen, encrypt and serve HTTP.
INSIDE: dict[str, Any] = {
    "host": "127.0.0.1",
    "port": 0,
    "http_port": None,
    "tls_cert": None,
    "tls_key": None,
    "tls_client_ca": None,
    "admin_token_file": None,
}

# How often is looked whether the replica is being replaced.
LOOK_SECONDS = 0.25


class FusionReplica:
    """Answers the calls of crossfuse.v1.FusionService on a Ray cluster.

    settings: those of `crossfuse serve` by name. It takes as many processors as Ray gave it.
    """

    def __init__(
        self, settings: Mapping[str, Any], open_engines: OpenEngines | None = None
    ) -> None:
        self.settings = load_settings({"threads": _assigned_processors(), **settings, **INSIDE})
        self.server = FusionServer(self.settings, open_engines)
        if self.settings.token_file is None:
            self.server.admission.identify = by_forwarded_peer
        self.server.start()
        _wait_until_loaded(self.server)
        self._forwarder: Forwarder | None = None
        self._ended = threading.Event()
        self._checks = HealthChecks()
        self._metrics = ReplicaMetrics(self.server.observations)
        for work in (self._end_streams_when_replaced, self._report):
            threading.Thread(target=work, daemon=True).start()

    async def Fuse(  # noqa: N802 - named by the proto, like the others
        self, message: bytes, grpc_context: RayContext
    ) -> Payload:
        """Fuse one pair."""
        return await self._forward().unary(FUSE, message, grpc_context)

    async def FuseStream(  # noqa: N802
        self, messages: AsyncIterator[bytes], grpc_context: RayContext
    ) -> AsyncIterator[Payload]:
        """Fuse the frames of a stream, in order."""
        async for answer in self._forward().stream(FUSE_STREAM, messages, grpc_context):
            yield answer

    async def GetServerInfo(  # noqa: N802
        self, message: bytes, grpc_context: RayContext
    ) -> Payload:
        """What the server of this replica is."""
        return await self._forward().unary(SERVICE + "GetServerInfo", message, grpc_context)

    async def ListModels(  # noqa: N802
        self, message: bytes, grpc_context: RayContext
    ) -> Payload:
        """The models of this replica."""
        return await self._forward().unary(SERVICE + "ListModels", message, grpc_context)

    async def Check(self, message: bytes, grpc_context: RayContext) -> Payload:  # noqa: N802
        """Health, as grpc.health.v1 asks for it."""
        return await self._forward().unary("/grpc.health.v1.Health/Check", message, grpc_context)

    def check_health(self) -> None:
        """Ray replaces a replica for which this raises."""
        self._checks.note()
        default = self.server.host.default
        if default.state is State.FAILED:
            raise EngineError(f"model: {default.bundle.reference}: {default.message}")

    def __del__(self) -> None:
        """Ray calls it when the calls of a replica that it replaces have ended."""
        if hasattr(self, "_ended"):
            self._ended.set()
            self.server.stop()

    def _forward(self) -> Forwarder:
        """Made in the event loop of the calls."""
        if self._forwarder is None:
            self.loop = asyncio.get_running_loop()
            replica = serve.get_replica_context().replica_id.unique_id
            self._forwarder = Forwarder(f"127.0.0.1:{self.server.port}", replica)
        return self._forwarder

    def _end_streams_when_replaced(self) -> None:
        """A stream goes on for hours, so it is ended in order, for its client to take another."""
        while not self._ended.wait(LOOK_SECONDS):
            if self._checks.have_ended():
                self.server.open_streams.drain()

    def _report(self) -> None:
        while not self._ended.wait(self._metrics.PAUSE_SECONDS):
            self._metrics.report()


def _assigned_processors() -> int:
    """Those Ray set aside for this replica, at least one: else each would take all there are."""
    assigned: dict[str, float] = ray.get_runtime_context().get_assigned_resources()
    return max(1, math.floor(assigned.get("CPU", 1)))


def _wait_until_loaded(server: FusionServer) -> None:
    """A replica that returns from its constructor gets calls."""
    end = time.monotonic() + LOAD_SECONDS
    while (state := server.host.default.state) is not State.SERVING:
        default = server.host.default
        if state is State.FAILED or time.monotonic() > end:
            server.stop()
            raise default.error or EngineError(
                f"model: {default.bundle.reference} did not load within {LOAD_SECONDS:g} s"
            )
        time.sleep(0.02)
