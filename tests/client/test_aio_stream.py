"""Streams of the asynchronous client: what the blocking ones promise, without blocking."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import numpy as np
import pytest

from crossfuse.aio import FusionClient
from crossfuse.client import (
    CallCancelled,
    ClientError,
    InvalidRequest,
    StreamResult,
    UnknownModel,
)
from crossfuse.client.frames import DEFAULT_IN_FLIGHT
from crossfuse.errors import InvalidInput
from crossfuse.fuser import Fuser
from crossfuse_server.app import FusionServer


@pytest.mark.parametrize("kind", ["blocking", "asynchronous"])
def test_streams_keep_order_and_bounds(
    server: FusionServer,
    fuser: Fuser,
    picture: Any,
    kind: str,
    client_of: Callable[..., FusionClient],
) -> None:
    frames = [(picture(seed=seed), picture(channels=3, seed=99 - seed)) for seed in range(20)]
    taken = 0

    def blocking() -> Iterator[Any]:
        nonlocal taken
        for frame in frames:
            taken += 1
            yield frame

    async def asynchronous() -> AsyncIterator[Any]:
        for frame in blocking():
            await asyncio.sleep(0)
            yield frame

    async def main() -> None:
        pairs: Any = blocking() if kind == "blocking" else asynchronous()
        count = 0
        async with client_of(server) as client:
            async for result in client.stream(pairs):
                np.testing.assert_array_equal(result.image, fuser.fuse(*frames[count]))
                assert result.frame_id == count
                count += 1
                assert count <= taken <= count + DEFAULT_IN_FLIGHT
        assert count == taken == len(frames)

    asyncio.run(main())


def test_a_bad_frame_is_an_error_of_its_own(
    server: FusionServer, ir: Any, vis: Any, client_of: Callable[..., FusionClient]
) -> None:
    frames = [(ir, vis), (ir[:40], vis), (ir[:20], vis[:20]), (ir, vis)]

    async def main() -> list[StreamResult]:
        async with client_of(server) as client:
            return [result async for result in client.stream(frames)]

    results = asyncio.run(main())
    assert [type(r.error) for r in results] == [
        type(None),
        InvalidInput,
        InvalidRequest,
        type(None),
    ]


def test_an_error_of_the_pairs_comes_after_the_results_before_it(
    server: FusionServer, ir: Any, vis: Any, client_of: Callable[..., FusionClient]
) -> None:
    async def pairs() -> AsyncIterator[Any]:
        yield ir, vis
        yield ir, vis
        raise KeyError("camera unplugged")

    results: list[StreamResult] = []

    async def main() -> None:
        async with client_of(server) as client:
            async for result in client.stream(pairs()):
                results.append(result)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(KeyError, match="camera unplugged"):
        asyncio.run(main())
    assert [result.frame_id for result in results] == [0, 1]


def test_leaving_the_loop_cancels_the_call(
    serve: Callable[..., FusionServer],
    scripted: Any,
    ir: Any,
    vis: Any,
    client_of: Callable[..., FusionClient],
    soon: Callable[..., Awaitable[None]],
) -> None:
    scripted.gate.set()
    server = serve(scripted)
    closed = threading.Event()

    async def camera() -> AsyncIterator[Any]:
        try:
            for _ in range(3):
                yield ir, vis
            await asyncio.Event().wait()  # the next frame never comes
        finally:
            closed.set()

    async def main() -> None:
        async with client_of(server) as client:
            async with contextlib.aclosing(client.stream(camera())) as stream:
                async for result in stream:
                    if result.frame_id == 2:
                        break
            assert closed.is_set()
            await soon(lambda: len(asyncio.all_tasks()) == 1)
            await soon(lambda: "FuseStream" in str(server.calls.ended()))

    asyncio.run(main())


def test_a_refusal_is_told_in_the_servers_words_whatever_is_being_written(
    server: FusionServer, client_of: Callable[..., FusionClient], ir: Any, vis: Any
) -> None:
    async def main() -> list[type]:
        raised: list[type] = []
        async with client_of(server) as client:
            for _ in range(60):
                try:
                    async for _ in client.stream([(ir, vis)] * 9, model="median", max_in_flight=8):
                        pass
                except ClientError as error:
                    raised.append(type(error))
        return raised

    assert asyncio.run(main()) == [UnknownModel] * 60


def test_a_refused_stream_does_not_wait_for_the_camera(
    server: FusionServer,
    client_of: Callable[..., FusionClient],
    soon: Callable[..., Awaitable[None]],
) -> None:
    async def camera() -> AsyncIterator[Any]:
        await asyncio.Event().wait()
        yield

    async def main() -> None:
        async with client_of(server) as client:
            with pytest.raises(UnknownModel, match="median"):
                async for _ in client.stream(camera(), model="median"):
                    pass
            await soon(lambda: len(asyncio.all_tasks()) == 1)

    asyncio.run(main())


def test_closing_the_client_ends_its_streams(
    server: FusionServer, client_of: Callable[..., FusionClient], ir: Any, vis: Any
) -> None:
    async def main() -> None:
        client = client_of(server)
        async for _ in client.stream(itertools.repeat((ir, vis))):
            await client.close()

    with pytest.raises(CallCancelled):
        asyncio.run(main())


def test_a_loading_server_is_waited_for(
    serve: Callable[..., FusionServer],
    client_of: Callable[..., FusionClient],
    scripted: Any,
    ir: Any,
    vis: Any,
) -> None:
    def open_engines(bundle: object) -> list[Any]:
        assert scripted.gate.wait(60)
        return [scripted]

    async def main() -> list[StreamResult]:
        server = serve(open_engines=open_engines, wait=False)
        async with client_of(server) as client:
            assert await client.health() == "loading"
            asyncio.get_running_loop().call_later(0.05, scripted.gate.set)
            return [result async for result in client.stream([(ir, vis)])]

    (result,) = asyncio.run(main())
    np.testing.assert_array_equal(result.image, vis)


def test_drops_are_results(
    server: FusionServer, ir: Any, vis: Any, client_of: Callable[..., FusionClient]
) -> None:
    async def main() -> list[StreamResult]:
        async with client_of(server) as client:
            stream = client.stream(
                itertools.repeat((ir, vis), 4), drop="oldest", frame_deadline=1e-6
            )
            return [result async for result in stream]

    results = asyncio.run(main())
    assert [result.frame_id for result in results] == [0, 1, 2, 3]
    assert all(str(result.dropped).startswith("deadline: ") for result in results)
