"""Every error a client of a server raises, with its exit code and the statuses it stands for.

ClientError                  1   base of all; itself a CrossFuseError
├── InvalidRequest           2   INVALID_ARGUMENT: what was sent breaks a rule; a message too large
├── UnknownModel             2   NOT_FOUND: the server has no such model; names those it has
├── AccessDenied             2   UNAUTHENTICATED, PERMISSION_DENIED: no token, or a wrong one
├── ServerBusy               1   RESOURCE_EXHAUSTED: a queue is full                  retryable
├── ServerUnavailable        1   UNAVAILABLE                                          retryable
│   ├── ServerUnreachable    1   no connection could be made
│   ├── ServerNotReady       1   the server answered: it is loading, or draining
│   ├── ModelFailed          1   the server answered: it could not load the model
│   └── ConnectionLost       1   the connection broke before the answer was there
├── CallTimeout              1   DEADLINE_EXCEEDED: the time given ran out
├── CallCancelled            1   CANCELLED: the client was closed during the call
├── ServerFault              1   INTERNAL and all other statuses: look up `incident` in its log
└── IncompatibleServer       1   UNIMPLEMENTED, or an answer that breaks the protocol

What can be seen without a server, like an array of the wrong type, is refused before anything is
sent, with crossfuse.errors.InvalidInput.
"""

from __future__ import annotations

from typing import ClassVar

from crossfuse.errors import CrossFuseError


class ClientError(CrossFuseError):
    """A call to a server failed; `retry_after` is in seconds, where the server said when."""

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class InvalidRequest(ClientError):
    """What was sent breaks a rule; the server's message names the field and what is valid."""

    grpc_status = "INVALID_ARGUMENT"
    exit_code = 2


class UnknownModel(ClientError):
    """The server has no such model; the message names those it has."""

    grpc_status = "NOT_FOUND"
    exit_code = 2


class AccessDenied(ClientError):
    """The call carried no token, or one the server does not accept."""

    grpc_status = "UNAUTHENTICATED"
    exit_code = 2


class ServerBusy(ClientError):
    """The server takes no more work at present."""

    grpc_status = "RESOURCE_EXHAUSTED"
    retryable = True


class ServerUnavailable(ClientError):
    """The server cannot be used at present."""

    grpc_status = "UNAVAILABLE"
    retryable = True


class ServerUnreachable(ServerUnavailable):
    """No connection to the server could be made."""


class ServerNotReady(ServerUnavailable):
    """The server answered that it is loading, or draining."""


class ModelFailed(ServerUnavailable):
    """The server answered that it could not load the model; a new bundle may mend that."""


class ConnectionLost(ServerUnavailable):
    """The connection broke, or a proxy gave up, before the answer was there."""


class CallTimeout(ClientError):
    """The time given to the call ran out."""

    grpc_status = "DEADLINE_EXCEEDED"


class CallCancelled(ClientError):
    """The call was ended from this side, by closing the client."""

    grpc_status = "CANCELLED"


class ServerFault(ClientError):
    """A fault in the server; `incident` is the id under which its log says more."""

    def __init__(self, message: str, *, incident: str | None = None) -> None:
        super().__init__(message)
        self.incident = incident


class IncompatibleServer(ClientError):
    """What answers does not speak crossfuse.v1 as this client does."""

    grpc_status = "UNIMPLEMENTED"
