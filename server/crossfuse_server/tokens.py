"""Bearer tokens: callers present one of those in a file, which is read again when it changes."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import grpc

from crossfuse.errors import InvalidInput, Unauthenticated
from crossfuse.oip import method_path
from crossfuse_server.calls import Calls
from crossfuse_server.changing import ChangingFiles, warn_of_readers
from crossfuse_server.logs import log_call, request_id_of
from crossfuse_server.statuses import as_status

SCHEME = "bearer"
VALID = "valid: metadata 'authorization: Bearer TOKEN'"

# What a header can carry, and what the clients of this project take.
TOKEN = re.compile(rb"[\x21-\x7e]+")

# How long a new file may go unseen; in between a check reads nothing.
LOOK_SECONDS = 1.0

# Probes of orchestrators carry no token, and learn nothing but whether the server is up.
OPEN_METHODS = (
    "/grpc.health.v1.Health/",
    *map(method_path, ("ServerLive", "ServerReady", "ModelReady")),
)

# Whoever may fuse pictures may not change the models for everybody.
ADMIN_METHODS = "/crossfuse.v1.AdminService/"


class Tokens:
    """The tokens of one file, one a line; empty lines and lines that begin with # do not count."""

    def __init__(self, name: str, path: Path) -> None:
        self._digests = ChangingFiles(name, [path], partial(_read, name, path), every=LOOK_SECONDS)

    def check(self, header: str | None) -> Unauthenticated | None:
        """What is wrong with the value of an `authorization` header; None where it may pass."""
        if header is None:
            return Unauthenticated(f"authorization: got nothing; {VALID}")
        presented = digest_of(header)
        # Every token is compared, each in constant time, so that the time tells nothing; as
        # digests, so that it does not tell the length either.
        matches = [hmac.compare_digest(presented, digest) for digest in self._digests.get()]
        if not header.lower().startswith(f"{SCHEME} ") or not any(matches):
            return Unauthenticated(f"authorization: got a token this server does not know; {VALID}")
        return None

    def reread(self) -> None:
        """Read the file even if it seems not to have changed."""
        self._digests.reread()


def read_tokens(name: str, path: Path | None) -> Tokens | None:
    """The tokens of the file that a setting names, if it names one."""
    return None if path is None else Tokens(name, path)


def digest_of(header: str) -> bytes:
    """What stands for the token in an `authorization` header, however its scheme is written."""
    return hashlib.sha256(header.partition(" ")[2].strip().encode()).digest()


def _read(name: str, path: Path) -> list[bytes]:
    warn_of_readers(name, path)
    digests = []
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        token = line.strip()
        if not token or token.startswith(b"#"):
            continue
        if not TOKEN.fullmatch(token):  # without the line: messages end up in logs
            raise InvalidInput(
                name,
                f"{path} with blanks or letters outside ASCII in line {number}",
                "one token per line",
            )
        digests.append(hashlib.sha256(token).digest())
    if not digests:
        raise InvalidInput(name, f"{path} without a token", "one token per line")
    return digests


class TokenInterceptor(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs only
    """Refuses calls that present no token, or a wrong one; without `tokens` all may call."""

    def __init__(self, tokens: Tokens | None, admin_tokens: Tokens | None, calls: Calls) -> None:
        self._calls = calls
        self._tokens = tokens
        self._admin_tokens = admin_tokens

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Let the call through, or answer it with UNAUTHENTICATED."""
        handler = continuation(handler_call_details)
        if handler is None or handler_call_details.method.startswith(OPEN_METHODS):
            return handler
        is_admin = handler_call_details.method.startswith(ADMIN_METHODS)
        tokens = self._admin_tokens if is_admin else self._tokens
        if tokens is None:
            return handler
        header = dict(handler_call_details.invocation_metadata).get("authorization")
        error = tokens.check(None if header is None else str(header))
        return handler if error is None else self._refusal(error, handler_call_details.method)

    def _refusal(self, error: Unauthenticated, method: str) -> grpc.RpcMethodHandler[Any, Any]:
        """A handler for calls of every kind that refuses before a message is read."""

        def refuse(_: Iterator[Any], context: grpc.ServicerContext) -> Any:
            self._calls.end(method, error.grpc_status)
            log_call(method, request_id_of(context), error.grpc_status, str(error))
            context.abort_with_status(as_status(error))

        return grpc.stream_stream_rpc_method_handler(refuse)
