"""The messages of a stream, as gRPC takes them: for threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from crossfuse.client.frames import StreamItem, StreamLedger
from crossfuse.v1 import fusion_pb2 as pb


class StreamMessages:
    """The messages of a stream, made from the caller's pairs as there is room for them.

    Each connection iterates over it anew, beginning with the frames that have no answer. A pair is
    read by one of them at a time: that of a broken connection may still be at it.
    """

    def __init__(self, ledger: StreamLedger, pairs: Iterator[StreamItem]) -> None:
        self.failure: BaseException | None = None
        """What reading the pairs raised; gRPC would only log it."""
        self._ledger = ledger
        self._pairs = pairs
        self._room = threading.Semaphore(ledger.most_ahead)
        self._reading = threading.Lock()
        self._ended = False

    def __iter__(self) -> Iterator[pb.FuseStreamRequest]:
        yield self._ledger.config
        sequence = -1
        while (found := self._next(sequence)) is not None:
            sequence, message = found
            yield message

    def make_room(self) -> None:
        """The caller gets a result: one more pair may be read."""
        self._room.release()

    def end(self) -> None:
        """Read no more pairs."""
        self._ended = True
        self._room.release()

    def _next(self, after: int) -> tuple[int, pb.FuseStreamRequest] | None:
        """The first message after a sequence; a pair is read only when there is none."""
        while (found := self._ledger.next_message(after)) is None and not self._ended:
            with self._reading:
                found = self._ledger.next_message(after)  # read while this one waited
                if found is not None:
                    return found
                if not self._ended:
                    self._read()
        return found

    def _read(self) -> None:
        self._room.acquire()
        if self._ended:
            return
        try:
            self._ledger.take(next(self._pairs))
        except StopIteration:
            self._ended = True
        except BaseException as error:
            self.failure = error
            self._ended = True
