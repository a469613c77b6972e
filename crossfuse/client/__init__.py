"""Talk to a CrossFuse server; `crossfuse.aio` is the same for asyncio.

blocking.py                          FusionClient: calls, retries and streams with threads
base.py                              what it shares with the asynchronous one
connection.py                        address, TLS, token, options of gRPC
requests.py, answers.py, results.py  from plain values to messages, and back
pictures.py                          the same for one picture
frames.py                            numbers of a stream's frames, answers back to their frames
*stream_messages.py                  what is sent on a stream, also again on a new connection
retries.py                           when a failed call is tried again
errors.py, statuses.py               the client's own errors, and which status becomes which
transports.py, *_transport.py        what stands between client and server; can be replaced
oip_messages.py, oip_options.py      what the Open Inference Protocol carries, and what it cannot
"""

from __future__ import annotations

from crossfuse.client.blocking import FusionClient
from crossfuse.client.connection import TlsOptions
from crossfuse.client.errors import (
    AccessDenied,
    CallCancelled,
    CallTimeout,
    ClientError,
    ConnectionLost,
    IncompatibleServer,
    InvalidRequest,
    ModelFailed,
    ServerBusy,
    ServerFault,
    ServerNotReady,
    ServerUnavailable,
    ServerUnreachable,
    UnknownModel,
)
from crossfuse.client.frames import Frame, StreamItem
from crossfuse.client.local_transport import LocalTransport
from crossfuse.client.results import (
    FuseResult,
    ModelInfo,
    ServerInfo,
    ServerLimits,
    StreamResult,
    Timings,
)
from crossfuse.client.transports import Transport

__all__ = [
    "AccessDenied",
    "CallCancelled",
    "CallTimeout",
    "ClientError",
    "ConnectionLost",
    "Frame",
    "FuseResult",
    "FusionClient",
    "IncompatibleServer",
    "InvalidRequest",
    "LocalTransport",
    "ModelFailed",
    "ModelInfo",
    "ServerBusy",
    "ServerFault",
    "ServerInfo",
    "ServerLimits",
    "ServerNotReady",
    "ServerUnavailable",
    "ServerUnreachable",
    "StreamItem",
    "StreamResult",
    "Timings",
    "TlsOptions",
    "Transport",
    "UnknownModel",
]
