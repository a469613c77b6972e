"""A stream whose connection breaks: it goes on, and every frame has one result in its place."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest

from crossfuse import aio
from crossfuse.client import (
    ConnectionLost,
    FusionClient,
    InvalidRequest,
    LocalTransport,
    ServerUnavailable,
)
from crossfuse.errors import InvalidInput
from crossfuse.v1 import fusion_pb2 as pb

FRAMES = 12


class Breaking(LocalTransport):
    """Breaks the connection after so many answers, again and again, and loses what is under way."""

    def __init__(self, breaks: list[int], error: Exception | None = None) -> None:
        super().__init__(lambda ir, vis, **_: vis)
        self.connections: list[list[int]] = []
        self._breaks = breaks
        self._error = error or ConnectionLost("no answer from far:1: reset")

    def fuse_stream(
        self, requests: Iterator[pb.FuseStreamRequest], timeout: float | None
    ) -> Generator[pb.FuseStreamResponse, None, None]:
        sent: list[int] = []
        self.connections.append(sent)
        last = self._breaks.pop(0) if self._breaks else FRAMES + 1

        def watched() -> Iterator[pb.FuseStreamRequest]:
            for request in requests:
                if request.WhichOneof("message") == "frame":
                    sent.append(request.frame.frame_id)
                yield request

        for number, answer in enumerate(super().fuse_stream(watched(), timeout)):
            if number == last:
                raise self._error
            yield answer


@pytest.fixture
def pairs(ir: Any, vis: Any) -> list[Any]:
    return [(ir, vis)] * FRAMES


def test_every_frame_has_one_result(pairs: list[Any], vis: Any) -> None:
    transport = Breaking([3, 0, 4])
    with FusionClient("far:1", transport=transport) as client:
        results = list(client.stream(pairs, reconnect=60))
    assert [result.frame_id for result in results] == list(range(FRAMES))
    assert all((result.image == vis).all() for result in results)
    assert len(transport.connections) == 4
    assert transport.connections[1][0] == 3, "it goes on with the first frame without an answer"
    assert transport.connections[3][0] == 7


def test_without_reconnect_it_is_raised(pairs: list[Any]) -> None:
    with FusionClient("far:1", transport=Breaking([3])) as client:
        results = client.stream(pairs)
        assert [next(results).frame_id for _ in range(3)] == [0, 1, 2]
        with pytest.raises(ConnectionLost):
            next(results)


def test_what_will_not_mend_is_raised_at_once(pairs: list[Any]) -> None:
    transport = Breaking([3], InvalidRequest("config: got nothing"))
    with FusionClient("far:1", transport=transport) as client, pytest.raises(InvalidRequest):
        list(client.stream(pairs, reconnect=60))
    assert len(transport.connections) == 1


def test_it_gives_up_after_the_time_given(pairs: list[Any]) -> None:
    client = FusionClient("far:1", transport=Breaking([0] * 100))
    with client, pytest.raises(ServerUnavailable):
        list(client.stream(pairs, reconnect=0.3))


def test_live_pictures_are_not_sent_again_when_they_are_old(ir: Any, vis: Any) -> None:
    """Of those without an answer only the newest ones; the others say why they have no picture."""
    waiting: list[pb.FuseStreamRequest] = []

    class Late(Breaking):
        def fuse_stream(
            self, requests: Iterator[pb.FuseStreamRequest], timeout: float | None
        ) -> Generator[pb.FuseStreamResponse, None, None]:
            if not waiting:  # takes every frame and answers none
                waiting.extend(requests)
                raise ConnectionLost("no answer from far:1: reset")
            yield from super().fuse_stream(requests, timeout)

    with FusionClient("far:1", transport=Late([])) as client:
        pairs = [(ir, vis)] * FRAMES
        results = list(client.stream(pairs, drop="oldest", max_in_flight=2, reconnect=60))
    assert [result.frame_id for result in results] == list(range(FRAMES))
    lost = [str(result.dropped) for result in results if result.dropped is not None]
    assert len(lost) == FRAMES - 2
    assert all(reason.startswith("reconnect: ") for reason in lost)
    assert [result.image is not None for result in results[-2:]] == [True, True]


def test_a_source_that_waits_for_its_results(ir: Any, vis: Any) -> None:
    """It asks for nothing new before the frame that was lost has its answer."""
    seen: list[int] = []

    def source() -> Iterator[Any]:
        for number in range(4):
            while len(seen) < number:
                time.sleep(0.001)
            yield ir, vis

    transport = Breaking([1, 1])
    with FusionClient("far:1", transport=transport) as client:
        for result in client.stream(source(), max_in_flight=1, reconnect=60):
            seen += [result.frame_id]  # one by one: the source looks at it
    assert seen == [0, 1, 2, 3]


def test_the_asynchronous_client_too(
    ir: Any, vis: Any, serve: Callable[..., Any], scripted: Any
) -> None:
    """A real server that ends in the middle, and another one that takes its place."""
    scripted.gate.set()
    first = serve(scripted)
    port = first.port

    async def camera() -> AsyncIterator[Any]:
        for _ in range(FRAMES):
            yield ir, vis

    async def main() -> list[int]:
        found = []
        async with aio.FusionClient(f"127.0.0.1:{port}") as client:
            async for result in client.stream(camera(), reconnect=60):
                found.append(result.frame_id)
                if result.frame_id == 4:
                    await asyncio.to_thread(first.stop)
                    serve(scripted, port=port)
        return found

    assert asyncio.run(main()) == list(range(FRAMES))


def test_how_long_is_checked(pairs: list[Any]) -> None:
    client = FusionClient("far:1", transport=Breaking([]))
    with client, pytest.raises(InvalidInput, match="reconnect: got -1 s; valid: 0 or more seconds"):
        client.stream(pairs, reconnect=-1)
