"""A status with its details on its way through Ray, which knows only a code and a text."""

from __future__ import annotations

import base64

from google.protobuf.message import DecodeError
from google.rpc.status_pb2 import Status

# What no text of Ray or gRPC begins with.
MARK = "crossfuse-status:"


def carry(status: Status) -> str:
    """A text that holds all of a status."""
    return MARK + base64.b64encode(status.SerializeToString()).decode()


def carried(text: str) -> Status | None:
    """The status a text holds; None when it is somebody else's text."""
    if not text.startswith(MARK):
        return None
    try:
        return Status.FromString(base64.b64decode(text.removeprefix(MARK), validate=True))
    except (DecodeError, ValueError):  # the second also where it is no base64
        return None
