"""Every error CrossFuse raises on purpose, with its gRPC status and its exit code.

CrossFuseError                INTERNAL             1
├── InvalidInput              INVALID_ARGUMENT     2   what a caller gave breaks a rule
│   ├── ImageError            INVALID_ARGUMENT     2   bytes that are not a picture we accept
│   └── UnknownName           INVALID_ARGUMENT     2   a name that is not in the list it must be in
├── ModelNotFound             NOT_FOUND            2   no such bundle on the search path
├── BundleError               FAILED_PRECONDITION  2   a bundle that is damaged or not to be trusted
├── OutputError               INTERNAL             1   a result could not be written
├── MissingDependency         UNIMPLEMENTED        2   an optional package is not installed
├── EngineError               INTERNAL             1   the model could not be run
│   ├── ProviderUnavailable   FAILED_PRECONDITION  2   the asked-for device cannot be used here
│   ├── DeviceLost            UNAVAILABLE          1   the device went away while running
│   └── OutOfMemory           RESOURCE_EXHAUSTED   1   the device has no memory left for this batch
├── NotReady                  UNAVAILABLE          1   still loading, or draining
├── Overloaded                RESOURCE_EXHAUSTED   1   a queue is full; says when to come back
├── DeadlineExceeded          DEADLINE_EXCEEDED    1   the time given ran out
└── Unauthenticated           UNAUTHENTICATED      2   no token, or a wrong one

Clients of a server raise the errors of `crossfuse.client`, a tree of their own: there the same
status may have come from a proxy, and the connection itself can fail.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar


class CrossFuseError(Exception):
    """Base of every error raised on purpose."""

    grpc_status: ClassVar[str] = "INTERNAL"
    exit_code: ClassVar[int] = 1


class InvalidInput(CrossFuseError):
    """What a caller gave breaks a rule; names the field, what came and what is valid."""

    grpc_status = "INVALID_ARGUMENT"
    exit_code = 2

    def __init__(self, field: str, received: str, valid: str) -> None:
        super().__init__(f"{field}: got {received}; valid: {valid}")
        self.field = field
        self.received = received
        self.valid = valid


class ImageError(InvalidInput):
    """Bytes that are not a picture we accept."""


class UnknownName(InvalidInput):
    """A name that is not in the list it must be in; suggests the nearest one."""

    def __init__(self, field: str, name: str, valid: Iterable[str]) -> None:
        names = sorted(valid)
        near = difflib.get_close_matches(name, names, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        super().__init__(field, repr(name), (", ".join(names) or "nothing yet") + hint)


class ModelNotFound(CrossFuseError):
    """No such bundle on the search path; names the installed ones."""

    grpc_status = "NOT_FOUND"
    exit_code = 2


class BundleError(CrossFuseError):
    """A bundle that is damaged or not to be trusted."""

    grpc_status = "FAILED_PRECONDITION"
    exit_code = 2


class OutputError(CrossFuseError):
    """A result could not be written."""


class MissingDependency(CrossFuseError):
    """An optional package is not installed; says the command that installs it."""

    grpc_status = "UNIMPLEMENTED"
    exit_code = 2

    def __init__(self, package: str, purpose: str, extra: str) -> None:
        super().__init__(
            f"{purpose} needs {package}, which is not installed; "
            f"install it with: pip install 'crossfuse[{extra}]'"
        )


class EngineError(CrossFuseError):
    """The model could not be run."""


class ProviderUnavailable(EngineError):
    """The asked-for device cannot be used here; nothing else is used in its place."""

    grpc_status = "FAILED_PRECONDITION"
    exit_code = 2


class DeviceLost(EngineError):
    """The device went away while running; the engine must be loaded again."""

    grpc_status = "UNAVAILABLE"


class OutOfMemory(EngineError):
    """The device has no memory left for this batch."""

    grpc_status = "RESOURCE_EXHAUSTED"


class NotReady(CrossFuseError):
    """The service is still loading, or draining."""

    grpc_status = "UNAVAILABLE"


class Overloaded(CrossFuseError):
    """A queue is full; `retry_after` says in seconds when to come back."""

    grpc_status = "RESOURCE_EXHAUSTED"

    def __init__(self, message: str, *, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class DeadlineExceeded(CrossFuseError):
    """The time given ran out."""

    grpc_status = "DEADLINE_EXCEEDED"


class Unauthenticated(CrossFuseError):
    """No token, or a wrong one."""

    grpc_status = "UNAUTHENTICATED"
    exit_code = 2
