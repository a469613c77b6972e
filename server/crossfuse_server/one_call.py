"""One call: counted, logged, and the error that ends it turned into its status."""

from __future__ import annotations

from typing import Any, NoReturn, Self

import grpc
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from crossfuse_server.calls import Calls
from crossfuse_server.logs import log_call, request_id_of
from crossfuse_server.observations import OK
from crossfuse_server.patience import caller_was_late
from crossfuse_server.recorder import Pair, Recorder, set_current
from crossfuse_server.statuses import name_of, to_status


class OneCall:
    """One call: counts and logs it, and turns the error that ends it into its status.

    `pair` is the one of a call that is about one pair; without it the call has an id only.
    """

    def __init__(
        self,
        calls: Calls,
        recorder: Recorder,
        method: str,
        context: grpc.ServicerContext,
        pair: Pair | None,
    ) -> None:
        self._calls = calls
        self._recorder = recorder
        self._pair = pair
        self._known_as = pair or Pair("")
        self._known_as.request_id = request_id_of(context)
        self._method = method
        self._context = context

    def __enter__(self) -> Self:
        self._calls.begin(self._context)
        set_current(self._known_as)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: Any
    ) -> None:
        # An RpcError comes out of the messages of a caller that went away.
        try:
            if not isinstance(error, Exception) or isinstance(error, grpc.RpcError):
                self._end(OK, "")
                return
            # As a literal: what a caller chose must not look like a line of this log.
            where = f"{self._method} {self._known_as.request_id!r}"
            status = to_status(error, where)
            self._end(name_of(status.code), status.message)
        finally:
            set_current(None)
        self._abort(status)

    def _end(self, status: str, message: str) -> None:
        """Count and log the call, as what its caller saw."""
        if not self._context.is_active():
            late = caller_was_late() or self._context.time_remaining() <= 0
            status = "DEADLINE_EXCEEDED" if late else "CANCELLED"
        self._calls.end(self._method, status)
        if self._pair is not None:
            self._recorder.end(self._pair, status)
        log_call(self._method, self._known_as.request_id, status, message)

    def _abort(self, status: Status) -> NoReturn:
        self._context.abort_with_status(rpc_status.to_status(status))
        raise AssertionError("abort_with_status raises")
