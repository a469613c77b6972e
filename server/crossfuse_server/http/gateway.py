"""The HTTP port: a socket, and the thread in which uvicorn answers on it."""

from __future__ import annotations

import socket
import threading
from typing import TYPE_CHECKING

import uvicorn

from crossfuse.errors import InvalidInput
from crossfuse_server.http.api import create_app
from crossfuse_server.http.connection import Connection
from crossfuse_server.tls import server_context

if TYPE_CHECKING:
    from crossfuse_server.app import FusionServer

# Connections of all callers; more are refused, so that gRPC keeps its file descriptors.
MOST_CONNECTIONS = 512

# After draining, what still runs is cut off.
GOODBYE_SECONDS = 1


class HttpGateway:
    """Serves HTTP from `start` to `stop`, in a thread of its own."""

    def __init__(self, server: FusionServer) -> None:
        settings = server.settings
        self._socket = _listen(settings.host, settings.http_port or 0)
        self.port: int = self._socket.getsockname()[1]
        tls = server_context(settings)
        config = uvicorn.Config(
            create_app(server),
            http=Connection,
            ws="none",
            loop="asyncio",
            lifespan="on",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,  # anybody could write them, and be another client
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=GOODBYE_SECONDS,
            ssl_context_factory=None if tls is None else lambda *_: tls,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="http", daemon=True
        )

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Take no more requests; return when the last answer has left, or was cut off."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(2 * GOODBYE_SECONDS + 1)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    both = host == "::" and socket.has_dualstack_ipv6()  # as gRPC understands it
    try:
        return socket.create_server((host, port), family=family, dualstack_ipv6=both)
    except OSError as error:
        raise InvalidInput(
            "http_port",
            f"{host}:{port}",
            "an address of this machine and a port that is free, or port 0",
        ) from error
