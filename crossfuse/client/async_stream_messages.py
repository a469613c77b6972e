"""The messages of a stream, as gRPC takes them: for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

from crossfuse.client.frames import StreamItem, StreamLedger
from crossfuse.v1 import fusion_pb2 as pb


class AsyncStreamMessages:
    """The messages of a stream, made from the caller's pairs as there is room for them.

    Each connection iterates over it anew, beginning with the frames that have no answer. A pair is
    read in a task that outlives the connection.
    """

    def __init__(self, ledger: StreamLedger, pairs: AsyncIterator[StreamItem]) -> None:
        self.failure: Exception | None = None
        """What reading the pairs raised."""
        self._ledger = ledger
        self._pairs = pairs
        self._room = asyncio.Semaphore(ledger.most_ahead)
        self._reading: asyncio.Task[None] | None = None
        self._exhausted = False

    async def __aiter__(self) -> AsyncIterator[pb.FuseStreamRequest]:
        yield self._ledger.config
        sequence = -1
        while (found := await self._next(sequence)) is not None:
            sequence, message = found
            yield message

    def make_room(self) -> None:
        """The caller gets a result: one more pair may be read."""
        self._room.release()

    async def end(self) -> None:
        """Read no more pairs."""
        self._exhausted = True
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)

    async def _next(self, after: int) -> tuple[int, pb.FuseStreamRequest] | None:
        """The first message after a sequence; a pair is read only when there is none."""
        while (found := self._ledger.next_message(after)) is None and not self._exhausted:
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read())
            await asyncio.shield(self._reading)
        return found

    async def _read(self) -> None:
        await self._room.acquire()
        try:
            item = await anext(self._pairs)
            await asyncio.to_thread(self._ledger.take, item)
        except StopAsyncIteration:
            self._exhausted = True
        except Exception as error:
            self.failure = error
            self._exhausted = True


async def in_threads(items: Iterator[StreamItem]) -> AsyncIterator[StreamItem]:
    """Blocking items without blocking the event loop."""
    end = object()
    while (item := await asyncio.to_thread(next, items, end)) is not end:
        yield item  # type: ignore[misc]  # not the end, so an item
