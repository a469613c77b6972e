"""gRPC as this server uses it: limits, keepalive and the port."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from crossfuse.errors import InvalidInput
from crossfuse_server.settings import ServerSettings
from crossfuse_server.tls import GrpcCertificates

# Where gRPC itself begins to refuse, in its own words and whatever the method. Our own limits are
# far below; this is for calls that arrive faster than they can be refused.
MOST_RPCS = 16_384

# A message somewhat over the limit is taken in, so that it can be answered with INVALID_ARGUMENT.
TRANSPORT_MARGIN = 2
LARGEST_MESSAGE = 2**31 - 1

# A peer that connects and says nothing, or half of a handshake, goes after this time.
HANDSHAKE_MS = 20_000


def grpc_server(
    threads: ThreadPoolExecutor,
    interceptors: list[grpc.ServerInterceptor[Any, Any]],
    max_message_bytes: int,
) -> grpc.Server:
    """A server without services and without a port."""
    return grpc.server(
        threads,
        interceptors=interceptors,
        maximum_concurrent_rpcs=MOST_RPCS,
        options=[
            (
                "grpc.max_receive_message_length",
                min(TRANSPORT_MARGIN * max_message_bytes, LARGEST_MESSAGE),
            ),
            ("grpc.max_send_message_length", -1),
            ("grpc.so_reuseport", 0),
            ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
            ("grpc.keepalive_permit_without_calls", 1),
            # A camera that lost its power closes nothing; without pings its stream would hold
            # its place for two hours.
            ("grpc.keepalive_time_ms", 60_000),
            ("grpc.keepalive_timeout_ms", 20_000),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
        ],
    )


def open_port(
    server: grpc.Server, settings: ServerSettings, certificates: GrpcCertificates | None
) -> int:
    """Listen where the settings say; the number of the port."""
    host = settings.host
    address = f"{f'[{host}]' if ':' in host else host}:{settings.port}"
    try:
        if certificates is None:
            return server.add_insecure_port(address)
        return server.add_secure_port(address, certificates.credentials)
    except RuntimeError as error:
        raise InvalidInput(
            "port", address, "an address of this machine and a port that is free, or port 0"
        ) from error
