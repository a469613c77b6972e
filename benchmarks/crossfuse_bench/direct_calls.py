"""Calls of the real server without sockets: the same handlers, as gRPC would call them."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import grpc

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_bench.stand_ins import NoEngine, write_bundle

FUSE = "/crossfuse.v1.FusionService/Fuse"

# Of the server below.
TOKEN = "Open-sesame_7"  # noqa: S105 - it listens on no address that counts

Metadata: TypeAlias = tuple[tuple[str, str], ...]
WITH_TOKEN: Metadata = (("authorization", f"Bearer {TOKEN}"),)


class Aborted(Exception):
    """A handler has ended its call with a status."""


class Context:
    """As much of a call as the handlers ask for."""

    def __init__(self, metadata: Metadata) -> None:
        self.status: Any = None
        self._metadata = metadata
        self._callbacks: list[Callable[[], None]] = []

    def peer(self) -> str:
        """Where the call comes from."""
        return "ipv4:127.0.0.1:1"

    def invocation_metadata(self) -> Metadata:
        """What the call carries beside its message."""
        return self._metadata

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

    def __init__(self, method: str, metadata: Metadata) -> None:
        self.method = method
        self.invocation_metadata = metadata


class DirectServer:
    """A server whose port is open but not used."""

    def __init__(self, folder: Path) -> None:
        # By name: this package must be usable where the server is not installed.
        app: Any = importlib.import_module("crossfuse_server.app")
        settings: Any = importlib.import_module("crossfuse_server.settings")
        self._memory: Any = importlib.import_module("crossfuse_server.memory")
        write_bundle(folder, "none")
        tokens = folder / "tokens"
        tokens.write_text(TOKEN, encoding="utf-8")
        tokens.chmod(0o600)
        chosen = settings.ServerSettings(
            port=0,
            models=folder,
            default_model="none",
            max_pixels=4096,
            warm_up="32x32",
            token_file=tokens,
        )
        self._server = app.FusionServer(chosen, lambda _: [NoEngine()])
        self._server.start()
        while self._server.state.value == "loading":
            time.sleep(0.01)
        self._tokens = self._token_interceptor()
        self._errors = self._error_interceptor()

    def fuse(self, message: bytes, metadata: Metadata = WITH_TOKEN) -> tuple[str, str]:
        """The status of one call, and what was told with it; an answer is checked."""
        context = Context(metadata)
        sent: list[Any] = []  # the answer, then None for the end
        try:
            handler = self._handler(metadata)
            if getattr(handler, "experimental_non_blocking", False):
                handler(iter([message]), context, sent.append)
            else:  # of a call that is refused
                handler(iter([message]), context)
        except Aborted:
            code = context.status.code
            return code.name, context.status.details
        finally:
            context.end()
        answer, _ = sent
        fused = pb.FuseResponse.FromString(answer.SerializeToString()).fused
        if not fused.data or min(fused.width, fused.height) < 32:
            return "EMPTY", str(fused)[:200]
        return grpc.StatusCode.OK.name, ""

    def _handler(self, metadata: Metadata) -> Callable[..., Any]:
        """The handler of Fuse that the server has for a call, behind its interceptors."""
        details: Any = _Details(FUSE, metadata)
        found = grpc.unary_unary_rpc_method_handler(
            self._server.servicer.Fuse,
            pb.FuseRequest.FromString,
            pb.FuseResponse.SerializeToString,
        )
        handler = self._tokens.intercept_service(
            lambda inner: self._errors.intercept_service(lambda _: found, inner), details
        )
        behavior: Callable[..., Any] = handler.stream_stream
        return behavior

    def _token_interceptor(self) -> Any:
        module: Any = importlib.import_module("crossfuse_server.tokens")
        server = self._server
        return module.TokenInterceptor(server.tokens, server.admin_tokens, server.calls)

    def _error_interceptor(self) -> Any:
        module: Any = importlib.import_module("crossfuse_server.interceptor")
        server = self._server
        return module.ErrorInterceptor(
            server.calls,
            server.pools,
            server.admission,
            server.settings.max_message_bytes,
            server.recorder,
        )

    def resident_mb(self) -> float:
        """What the process holds."""
        return float(self._memory.resident_bytes() / 2**20)

    def end(self) -> None:
        """Stop the server."""
        self._server.stop()
