"""A request as the servicer sees a call: the parts of `grpc.ServicerContext` that it uses."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import cast

import grpc
from starlette.requests import Request


class RequestContext:
    """Stands in for the context of a gRPC call; `end` when its answer has left."""

    def __init__(self, request: Request, timeout: float = math.inf) -> None:
        self._peer = peer_of(request)
        self._authorization = request.headers.get("authorization")
        self._ends_at = time.monotonic() + timeout
        self._callbacks: list[Callable[[], object]] = []
        self._active = True
        self._lock = threading.Lock()

    def peer(self) -> str:
        """The caller's address, written as gRPC writes it: one client, whatever it speaks."""
        return self._peer

    def invocation_metadata(self) -> Sequence[tuple[str, str]]:
        """The token, where the caller presents one."""
        return [("authorization", self._authorization)] if self._authorization else []

    def time_remaining(self) -> float:
        """Seconds until the deadline; infinite without one."""
        return self._ends_at - time.monotonic()

    def is_active(self) -> bool:
        """Whether somebody still waits for the answer."""
        return self._active

    def add_callback(self, callback: Callable[[], object]) -> bool:
        """Call it at the end; False when that was before."""
        with self._lock:
            if self._active:
                self._callbacks.append(callback)
            return self._active

    def end(self) -> None:
        """The answer has left, or nobody waits for it any more."""
        with self._lock:
            self._active = False
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            with suppress(Exception):  # as gRPC does: one must not keep the others from running
                callback()


def peer_of(request: Request) -> str:
    """The address and port of the caller."""
    if request.client is None:
        return "unix:"
    host, port = request.client
    return f"ipv6:%5B{host}%5D:{port}" if ":" in host else f"ipv4:{host}:{port}"


def as_grpc(context: RequestContext) -> grpc.ServicerContext:
    """For the type checker: it has what the servicer and the admission ask of it."""
    return cast(grpc.ServicerContext, context)
