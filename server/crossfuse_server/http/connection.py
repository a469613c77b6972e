"""One connection: uvicorn's, with an end to its waits, and without its log of every request."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

# uvicorn itself waits for ever for the first request, and for the rest of one that has begun.
HEAD_SECONDS = 10.0


class Connection(H11Protocol):
    """Closes when no whole head of a request arrives in time."""

    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self.access_log = False  # it would hold addresses as callers wrote them
        self._wait()

    def data_received(self, data: bytes) -> None:
        """The wait ends with the head of a request, not with its first bytes."""
        super().data_received(data)
        if self._timer is not None and self._is_answering:
            self._timer.cancel()
            self._timer = None

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing to wait for."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    @property
    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None before the first request
        return cycle is not None and not cycle.response_complete

    def _wait(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self.loop.call_later(HEAD_SECONDS, self._give_up)

    def _give_up(self) -> None:
        self._timer = None
        if not self._is_answering:
            self.transport.close()
