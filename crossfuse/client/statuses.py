"""The one place where gRPC statuses become the client's errors."""

from __future__ import annotations

import re
from typing import Any

import grpc
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

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

# These carry the server's own words, which name field, value and what is valid.
VERBATIM: dict[grpc.StatusCode, type[ClientError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidRequest,
    grpc.StatusCode.NOT_FOUND: UnknownModel,
    grpc.StatusCode.UNAUTHENTICATED: AccessDenied,
    grpc.StatusCode.PERMISSION_DENIED: AccessDenied,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ServerBusy,
}
STATUS_CODES: dict[int, grpc.StatusCode] = {code.value[0]: code for code in grpc.StatusCode}

# gRPC's words: the status alone does not tell these cases apart.
NO_CONNECTION = (
    "failed to connect",
    "errors resolving",
    "DNS resolution failed",
    "empty address list",
)
TOO_LARGE = "message larger than max"
# The reason in the details of an UNAVAILABLE that waiting alone will not mend.
MODEL_FAILED = "MODEL_FAILED"
INCIDENT = re.compile(r"\bincident ([0-9a-f]+)")


def error_of_call(error: grpc.RpcError, address: str) -> ClientError:
    """The error of a call that failed."""
    call: Any = error  # every error a call raises is also that call
    details = _rich_status(call)
    return error_of_status(
        call.code(),
        call.details() or "",
        address,
        retry_after=None if details is None else _retry_after(details),
        from_service=details is not None,
        reason="" if details is None else _reason(details),
    )


def error_of_frame(code: int, message: str, address: str) -> ClientError:
    """The error of one frame of a stream, from the number of its status."""
    status = STATUS_CODES.get(code, grpc.StatusCode.UNKNOWN)
    return error_of_status(status, message, address, from_service=True)


def error_of_status(
    code: grpc.StatusCode,
    message: str,
    address: str,
    *,
    retry_after: float | None = None,
    from_service: bool = False,
    reason: str = "",
) -> ClientError:
    """The error of a status; `from_service` where the service itself gave it, not gRPC."""
    if code is grpc.StatusCode.RESOURCE_EXHAUSTED and TOO_LARGE in message:
        return InvalidRequest(
            f"pictures: got more than one message may hold ({message}); "
            "valid: smaller pictures, or a larger max_pixels of the server and of the client"
        )
    if code in VERBATIM:
        return VERBATIM[code](message, retry_after=retry_after)
    if code is grpc.StatusCode.UNAVAILABLE and reason == MODEL_FAILED:
        return ModelFailed(f"the server at {address} cannot use it: {message}")
    if code is grpc.StatusCode.UNAVAILABLE:
        return _unavailable(message, address, retry_after, from_service)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        reason = message if from_service else f"no answer from {address} within the time given"
        return CallTimeout(f"timeout: {reason.removeprefix('deadline: ')}")
    if code is grpc.StatusCode.CANCELLED:
        return CallCancelled(f"the call to {address} was cancelled: {message}")
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return IncompatibleServer(
            f"{address} does not offer this call: {message}; "
            "valid: a CrossFuse server of this version or newer"
        )
    incident = INCIDENT.search(message)
    return ServerFault(
        f"the server at {address} failed ({code.name}): {message}",
        incident=incident.group(1) if incident else None,
    )


def _unavailable(
    message: str, address: str, retry_after: float | None, from_service: bool
) -> ServerUnavailable:
    if from_service:
        return ServerNotReady(
            f"the server at {address} is not ready: {message}", retry_after=retry_after
        )
    if message.startswith(NO_CONNECTION):
        reason = message.rpartition("last error: ")[2].removeprefix("UNKNOWN: ")
        return ServerUnreachable(
            f"the server could not be reached at {address}: {reason}; "
            "start one with: crossfuse serve"
        )
    return ConnectionLost(
        f"no answer from {address}: {message}; it ended, or a proxy gave up: try again"
    )


def _rich_status(call: Any) -> Status | None:
    """The google.rpc.Status beside a status; CrossFuse servers always send one."""
    try:
        return rpc_status.from_call(call)
    except ValueError:  # a proxy changed the plain status: that is the one that counts
        return None


def _retry_after(status: Status) -> float | None:
    info = RetryInfo()
    for detail in status.details:
        if detail.Unpack(info):
            return float(info.retry_delay.ToNanoseconds() / 1e9)
    return None


def _reason(status: Status) -> str:
    info = ErrorInfo()
    return next((str(info.reason) for detail in status.details if detail.Unpack(info)), "")
