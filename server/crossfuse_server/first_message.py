"""The first message of a stream, which holds its configuration."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress

from crossfuse.errors import NotReady
from crossfuse.v1 import fusion_pb2 as pb

DRAINING = "the server is draining; valid: another server, to which the next frame can be sent"


class FirstMessage:
    """The wait for the first message of a stream, which a draining server must be able to end."""

    def __init__(self, requests: Iterator[pb.FuseStreamRequest]) -> None:
        self._requests = requests
        self._message: Future[pb.FuseStreamRequest | None] = Future()

    def wait(self) -> pb.FuseStreamRequest | None:
        """The message, or None when the caller sends nothing."""
        threading.Thread(target=self._read, name="stream", daemon=True).start()
        return self._message.result()

    def drain(self) -> None:
        """Wait no longer."""
        self._refuse(NotReady(DRAINING))

    def _read(self) -> None:
        try:
            message = next(self._requests, None)
        except Exception as error:  # no message of ours, or the caller went away
            self._refuse(error)
            return
        with suppress(InvalidStateError):
            self._message.set_result(message)

    def _refuse(self, error: Exception) -> None:
        with suppress(InvalidStateError):
            self._message.set_exception(error)
