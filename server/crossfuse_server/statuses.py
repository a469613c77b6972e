"""The one place where errors become statuses."""

from __future__ import annotations

import logging
import secrets
import threading

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from crossfuse.errors import CrossFuseError, NotReady, OutOfMemory, Overloaded

log = logging.getLogger(__name__)

# Long enough for a batch that did not fit to be gone.
RETRY_AFTER_OUT_OF_MEMORY = 0.5

# A status travels in headers, twice, and peers take no more than 8 KB of them.
LONGEST_MESSAGE = 1500

# Tells clients that this UNAVAILABLE is not worth waiting for.
MODEL_FAILED = "MODEL_FAILED"
DOMAIN = "crossfuse.v1"


class Incidents:
    """The faults of this process: each gets a number to look up in the log."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    def next(self) -> str:
        """The number of another one."""
        with self._lock:
            self.count += 1
        return secrets.token_hex(4)


incidents = Incidents()


class ModelFailed(NotReady):
    """The model could not be loaded: waiting alone will not mend it."""


def to_status(error: Exception, where: str) -> Status:
    """The status of an error; `where` tells the log in which call it happened.

    Faults get an incident id instead of their text, which may hold paths and is of no use to a
    caller; the text and the traceback go to the log under the same id.
    """
    if isinstance(error, CrossFuseError) and error.grpc_status != "INTERNAL":
        code: grpc.StatusCode = grpc.StatusCode[error.grpc_status]
        status = Status(code=code.value[0], message=_bounded(str(error)))
        for info in _details(error):
            detail = AnyMessage()
            detail.Pack(info)
            status.details.append(detail)
        return status
    incident = incidents.next()
    log.error("incident %s in %s", incident, where, exc_info=error)
    return Status(
        code=grpc.StatusCode.INTERNAL.value[0],
        message=f"a fault in the server, incident {incident}; its log says more",
    )


def _details(error: CrossFuseError) -> list[Message]:
    if isinstance(error, ModelFailed):
        return [ErrorInfo(reason=MODEL_FAILED, domain=DOMAIN)]
    if isinstance(error, Overloaded):
        retry_after = error.retry_after
    elif isinstance(error, OutOfMemory):
        retry_after = RETRY_AFTER_OUT_OF_MEMORY
    else:
        return []
    info = RetryInfo()
    info.retry_delay.FromNanoseconds(int(retry_after * 1e9))
    return [info]


def _bounded(message: str) -> str:
    kept = message.encode()[:LONGEST_MESSAGE].decode(errors="ignore")
    return message if len(kept) == len(message) else f"{kept}..."


def as_status(error: Exception) -> grpc.Status:
    """The status of an error, in the form that ends a call."""
    return rpc_status.to_status(to_status(error, "a call"))


def name_of(code: int) -> str:
    """The name of a status, from its number."""
    return next(status.name for status in grpc.StatusCode if status.value[0] == code)
