"""Calls of the real server without sockets: the same handlers, as gRPC would call them."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_bench.stand_ins import NoEngine, write_bundle

FUSE = "/crossfuse.v1.FusionService/Fuse"


class Aborted(Exception):
    """A handler has ended its call with a status."""


class Context:
    """As much of a call as the handlers ask for."""

    def __init__(self) -> None:
        self.status: Any = None
        self._callbacks: list[Callable[[], None]] = []

    def peer(self) -> str:
        """Where the call comes from."""
        return "ipv4:127.0.0.1:1"

    def is_active(self) -> bool:
        """Whether somebody waits for the answer."""
        return True

    def time_remaining(self) -> float:
        """Seconds, as gRPC tells that there is no deadline."""
        return 1e10

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Called when the call is over."""
        self._callbacks.append(callback)
        return True

    def abort_with_status(self, status: Any) -> None:
        """End the call."""
        self.status = status
        raise Aborted

    def end(self) -> None:
        """The call is over."""
        for callback in self._callbacks:
            callback()


class _Details:
    """What an interceptor is told of a call."""

    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()


class DirectServer:
    """A server whose port is open but not used."""

    def __init__(self, folder: Path) -> None:
        # By name: this package must be usable where the server is not installed.
        app: Any = importlib.import_module("crossfuse_server.app")
        settings: Any = importlib.import_module("crossfuse_server.settings")
        self._memory: Any = importlib.import_module("crossfuse_server.memory")
        write_bundle(folder, "none")
        chosen = settings.ServerSettings(
            port=0, models=folder, default_model="none", max_pixels=4096, warm_up="32x32"
        )
        self._server = app.FusionServer(chosen, lambda _: [NoEngine()])
        self._server.start()
        while self._server.state.value == "loading":
            time.sleep(0.01)
        self._handler = self._wrapped(importlib.import_module("crossfuse_server.interceptor"))

    def fuse(self, message: bytes) -> tuple[str, str]:
        """The status of one call, and what was told with it; an answer is checked."""
        context = Context()
        try:
            (answer,) = self._handler(iter([message]), context)
        except Aborted:
            code = context.status.code
            return code.name, context.status.details
        finally:
            context.end()
        fused = pb.FuseResponse.FromString(answer.SerializeToString()).fused
        if not fused.data or min(fused.width, fused.height) < 32:
            return "EMPTY", str(fused)[:200]
        return grpc.StatusCode.OK.name, ""

    def _wrapped(self, module: Any) -> Callable[..., Any]:
        """The handler of Fuse as the server registers it, inside its interceptor."""
        server = self._server
        interceptor = module.ErrorInterceptor(
            server.calls, server.pools, server.admission, server.settings.max_message_bytes
        )
        found = grpc.unary_unary_rpc_method_handler(
            server.servicer.Fuse, pb.FuseRequest.FromString, pb.FuseResponse.SerializeToString
        )
        details: Any = _Details(FUSE)
        handler = interceptor.intercept_service(lambda _: found, details)
        behavior: Callable[..., Any] = handler.stream_stream
        return behavior

    def resident_mb(self) -> float:
        """What the process holds."""
        return float(self._memory.resident_bytes() / 2**20)

    def end(self) -> None:
        """Stop the server."""
        self._server.stop()
