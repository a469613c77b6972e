"""Bearer tokens: callers present one of those in a file."""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

from crossfuse.errors import InvalidInput, Unauthenticated
from crossfuse_server.statuses import as_status

SCHEME = "Bearer "

# Probes of orchestrators carry no token, and learn nothing but whether the server is up.
OPEN_METHODS = "/grpc.health.v1.Health/"

# Whoever may fuse pictures may not change the models for everybody.
ADMIN_METHODS = "/crossfuse.v1.AdminService/"


def read_tokens(path: Path | None) -> list[bytes] | None:
    """One token per line; empty lines and lines that begin with # do not count."""
    if path is None:
        return None
    lines = (line.strip() for line in path.read_bytes().splitlines())
    tokens = [line for line in lines if line and not line.startswith(b"#")]
    if not tokens:
        raise InvalidInput("token_file", f"{path} without a token", "one token per line")
    return tokens


class TokenInterceptor(grpc.ServerInterceptor):  # type: ignore[type-arg]  # generic in its stubs only
    """Refuses calls that present no token, or a wrong one; without `tokens` all may call."""

    def __init__(self, tokens: list[bytes] | None, admin_tokens: list[bytes] | None) -> None:
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
        error = _fault(dict(handler_call_details.invocation_metadata), tokens)
        return handler if error is None else _refusal(error)


def _fault(metadata: dict[str, Any], tokens: list[bytes]) -> Unauthenticated | None:
    given = metadata.get("authorization")
    valid = "valid: metadata 'authorization: Bearer TOKEN'"
    if given is None:
        return Unauthenticated(f"authorization: got nothing; {valid}")
    # Every token is compared, each in constant time, so that the time tells nothing.
    presented = given.removeprefix(SCHEME).encode()
    matches = [hmac.compare_digest(presented, token) for token in tokens]
    if not given.startswith(SCHEME) or not any(matches):
        return Unauthenticated(f"authorization: got a token this server does not know; {valid}")
    return None


def _refusal(error: Unauthenticated) -> grpc.RpcMethodHandler[Any, Any]:
    """A handler for calls of every kind that refuses before a message is read."""

    def refuse(_: Iterator[Any], context: grpc.ServicerContext) -> Any:
        context.abort_with_status(as_status(error))

    return grpc.stream_stream_rpc_method_handler(refuse)
