"""Where a measured server is and how it is spoken to; can be sent to the processes that call it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from crossfuse.client import FusionClient, TlsOptions
from crossfuse.client.connection import Connection
from crossfuse.images import DEFAULT_MAX_PIXELS


@dataclass(frozen=True)
class ServerAddress:
    """HOST:PORT with the TLS and the token of the client's options; no target: none is given."""

    target: str
    token: str | None = field(default=None, repr=False)
    tls: TlsOptions | bool = False

    def client(self, **settings: Any) -> FusionClient:
        """A client, with further settings of FusionClient."""
        return FusionClient(self.target, token=self.token, tls=self.tls, **settings)

    def connection(self) -> Connection:
        """What opens a channel for calls that the client does not make."""
        tls = TlsOptions() if self.tls is True else self.tls or None
        return Connection(self.target, self.token, tls, DEFAULT_MAX_PIXELS)
