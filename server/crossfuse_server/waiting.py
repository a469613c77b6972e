"""How a call waits for what the model makes of its pictures."""

from __future__ import annotations

import threading
from concurrent.futures import CancelledError, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import partial
from typing import Any, TypeVar

import grpc

from crossfuse.errors import DeadlineExceeded

ResultT = TypeVar("ResultT")


def remaining(context: grpc.ServicerContext) -> float | None:
    """Seconds until the call's deadline; None without one, which gRPC tells as centuries."""
    seconds = context.time_remaining()
    return seconds if seconds < threading.TIMEOUT_MAX else None


def wait_for(future: Future[ResultT], context: grpc.ServicerContext) -> ResultT:
    """The result; a call whose client went away, or ran out of time, gives its place up."""
    if not context.add_callback(partial(_give_up, future)):
        _give_up(future)
    try:
        return future.result(remaining(context))
    except (CancelledError, FutureTimeoutError):
        _give_up(future)
        raise DeadlineExceeded(
            "deadline: passed before the pair was fused; valid: a longer one"
        ) from None
    finally:
        # An error that comes out of it holds this frame, and with it the pictures, in a cycle.
        del future


def _give_up(future: Future[Any]) -> None:
    future.cancel()
