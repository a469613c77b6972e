"""Where a server is and how to speak to it: address, TLS, token and the options of gRPC."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from crossfuse.errors import InvalidInput

DEFAULT_TARGET = "localhost:8001"

HOST_AND_PORT = re.compile(r"(?P<host>\[[0-9a-fA-F:.%]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")
GRPC_SCHEMES = ("dns:", "ipv4:", "ipv6:", "unix:", "unix-abstract:", "xds:")
# Names that may stand for several servers, such as a headless service of Kubernetes.
SCHEMES_OF_MANY = ("dns:", "ipv4:", "ipv6:")
TAKE_TURNS = '{"loadBalancingConfig":[{"round_robin":{}}]}'
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
TOKEN = re.compile(r"[\x21-\x7e]+")

# A raw pair takes at most 16-bit infrared and colour per pixel; the rest is for the other fields.
BYTES_PER_PIXEL = 2 + 3
BYTES_BESIDE_PIXELS = 64 * 1024


@dataclass(frozen=True, slots=True)
class TlsOptions:
    """TLS with the roots this machine trusts, or with files of your own, all PEM.

    TlsOptions(root_certificates="ca.pem")                         a private authority
    TlsOptions(client_certificate="me.pem", client_key="me.key")   the server asks who calls
    """

    root_certificates: str | Path | None = None
    """Not given: the system's."""
    client_certificate: str | Path | None = None
    client_key: str | Path | None = None

    def __post_init__(self) -> None:
        if (self.client_certificate is None) != (self.client_key is None):
            missing = "client_key" if self.client_key is None else "client_certificate"
            raise InvalidInput(
                f"tls.{missing}", "nothing", "both client_certificate and client_key, or neither"
            )

    def credentials(self) -> grpc.ChannelCredentials:
        """What gRPC takes, with the files as they are now."""
        return grpc.ssl_channel_credentials(
            root_certificates=_read("root_certificates", self.root_certificates),
            private_key=_read("client_key", self.client_key),
            certificate_chain=_read("client_certificate", self.client_certificate),
        )


@dataclass(frozen=True, slots=True)
class Connection:
    """A server's address and the way to it, checked."""

    target: str
    token: str | None = field(repr=False)
    tls: TlsOptions | None
    max_pixels: int

    def __post_init__(self) -> None:
        if not self.target.startswith(GRPC_SCHEMES):
            found = HOST_AND_PORT.fullmatch(self.target)
            if found is None or not 1 <= int(found["port"]) <= 65535:
                raise InvalidInput("target", repr(self.target), f"HOST:PORT, like {DEFAULT_TARGET}")
        if self.token is not None and not TOKEN.fullmatch(self.token):
            raise InvalidInput(  # without the token: messages end up in logs
                "token",
                "text with blanks, line breaks or letters outside ASCII",
                "the token as in the server's token file",
            )

    @property
    def metadata(self) -> list[tuple[str, str]]:
        """What every call carries."""
        return [] if self.token is None else [("authorization", f"Bearer {self.token}")]

    @property
    def options(self) -> list[tuple[str, str | int]]:
        """How gRPC holds the connection."""
        many = self.target.startswith(SCHEMES_OF_MANY)
        largest = self.max_pixels * BYTES_PER_PIXEL + BYTES_BESIDE_PIXELS
        return [
            ("grpc.max_receive_message_length", largest),
            # The pictures were checked; a server that takes less says so.
            ("grpc.max_send_message_length", -1),
            # A dead connection is found out even while nothing is sent. CrossFuse servers allow a
            # ping every 10 s.
            ("grpc.keepalive_time_ms", 30_000),
            ("grpc.keepalive_timeout_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            ("grpc.http2.max_pings_without_data", 0),
            # Between attempts to connect every call fails at once. These pauses are shorter than
            # those of a call's retries together, so that a server that is back is found by the
            # first call. One attempt may take as long as the `min` one says.
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", 250),
            ("grpc.min_reconnect_backoff_ms", 5_000),
            # Each client has its connection to itself; two would share one, and its backoff.
            ("grpc.use_local_subchannel_pool", 1),
            # A proxy of this machine's environment is of no use on the way to this machine.
            ("grpc.enable_http_proxy", 0 if self._is_loopback else 1),
            # A call goes to the next of several servers, a stream stays with the one it began with.
            *([("grpc.service_config", TAKE_TURNS)] if many else []),
        ]

    @property
    def _is_loopback(self) -> bool:
        return self.target.rpartition(":")[0] in LOOPBACK_HOSTS


def _read(name: str, path: str | Path | None) -> bytes | None:
    if path is None:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"tls.{name}", str(path), f"a PEM file that can be read ({error.strerror})"
        ) from error
