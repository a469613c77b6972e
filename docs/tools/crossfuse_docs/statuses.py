"""The reference of statuses, errors and exit codes, from the classes that carry them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus

import grpc

from crossfuse import errors
from crossfuse.client import errors as client_errors
from crossfuse.errors import CrossFuseError
from crossfuse_docs.prose import code, escape, table
from crossfuse_server.http.errors import HTTP_STATUSES

INTRODUCTION = """\
# Statuses and errors

Every message says which rule was broken, what came and what is valid. A status is the same over
gRPC, the Open Inference Protocol and HTTP, where the JSON body holds its name and message."""
STREAMS = """\
On a stream a frame that is wrong is answered with the same code and message, for itself alone;
the stream goes on."""
CLIENT = """\
## Errors of the client

`crossfuse.client` raises errors of its own, because the same status may have come from a proxy,
and because the connection can fail. Those marked *retryable* are tried again within the
`timeout` of the call, up to `retries` times, and wait as long as the server says (`RetryInfo`,
or `Retry-After`)."""
LIBRARY = """\
## Errors of the library

Raised in process, with the status they become on a server and the exit code of a command."""


@dataclass(frozen=True)
class Advice:
    """What a status means, and what its reader does now."""

    meaning: str
    action: str


ADVICE = {
    "INVALID_ARGUMENT": Advice(
        "A picture, shape, type, encoding, size or option breaks a rule.",
        "Mend what the message names. The same request will fail again.",
    ),
    "NOT_FOUND": Advice(
        "The server has no such model, or the page has no such address.",
        "Use a name from the message, or install the bundle and reload (`kill -HUP`).",
    ),
    "FAILED_PRECONDITION": Advice(
        "A bundle is damaged or not to be trusted, or a device cannot be used.",
        "`crossfuse models verify`; install the bundle again, or choose another `device`.",
    ),
    "RESOURCE_EXHAUSTED": Advice(
        "A queue, a client's share or the memory is full; without `RetryInfo` the message is too "
        "large.",
        "Wait as long as it says, send fewer calls at once, or add servers. It stands for "
        "overload: an alert, not an error to hide.",
    ),
    "UNAVAILABLE": Advice(
        "The server or the model is loading, draining, or could not load the model.",
        "Try again, on another server if there is one. `crossfuse health` and the model's "
        "`message` in `GetServerInfo` say what it is doing.",
    ),
    "DEADLINE_EXCEEDED": Advice(
        "The caller's time ran out, in the queue or while it ran.",
        "Give more time, or look where the time goes: the timings of an answer, and "
        "`crossfuse_queue_seconds`.",
    ),
    "UNAUTHENTICATED": Advice(
        "No token, or one that the server does not know.",
        "Present a token of the server's `token_file`: `--token-file`, `token=`.",
    ),
    "PERMISSION_DENIED": Advice(
        "A page of another site calls, or a live view comes from another machine without tokens.",
        "Open the server's own page; give the server a `token_file`.",
    ),
    "UNIMPLEMENTED": Advice(
        "The server does not offer this call, or lacks a package for it.",
        "Compare the versions of client and server; the message names a package to install.",
    ),
    "CANCELLED": Advice("The caller ended the call.", "Nothing, if that was meant."),
    "INTERNAL": Advice(
        "A fault of the engine or the server, with an incident id.",
        "Look the incident up in the server's log, which has the traceback; report it.",
    ),
}


def page() -> str:
    """docs/reference/statuses.md"""
    rows = (_row(status, advice) for status, advice in ADVICE.items())
    exits = {
        "0": "done",
        "1": "the work failed: some of it, or all",
        "2": "bad usage or bad input; one line says what, what came and what is valid",
        "130": "interrupted with Ctrl-C; outputs that were begun are finished",
    }
    parts = [
        INTRODUCTION,
        table(("status", "means", "what to do"), rows),
        STREAMS,
        "## Exit codes of commands",
        table(("code", ""), exits.items()),
        CLIENT,
        code(_tree(client_errors.__doc__)),
        LIBRARY,
        code(_tree(errors.__doc__)),
    ]
    return "\n\n".join(parts) + "\n"


def statuses_raised() -> set[str]:
    """Every status that an error of ours stands for."""
    return {kind.grpc_status for kind in _below(CrossFuseError)} | set(HTTP_STATUSES)


def _row(status: str, advice: Advice) -> tuple[str, str, str]:
    numbers = f"gRPC {grpc.StatusCode[status].value[0]}"
    if status != "CANCELLED":  # whoever could read it is gone
        http = HTTP_STATUSES.get(status, HTTPStatus.INTERNAL_SERVER_ERROR)
        numbers += f", HTTP {http.value}"
    return f"**{status}**<br>{numbers}", escape(advice.meaning), escape(advice.action)


def _tree(doc: str | None) -> str:
    """The tree that a module of errors draws in its docstring."""
    return (doc or "").split("\n\n")[1]


def _below(kind: type[CrossFuseError]) -> Iterator[type[CrossFuseError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from _below(below)
