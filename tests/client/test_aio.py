"""The asynchronous client does what the blocking one does."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest

from crossfuse.aio import FusionClient, LocalTransport
from crossfuse.client import (
    CallCancelled,
    CallTimeout,
    InvalidRequest,
    ServerBusy,
    ServerUnavailable,
    ServerUnreachable,
    UnknownModel,
)
from crossfuse.errors import InvalidInput
from crossfuse.fuser import Fuser
from crossfuse_server.app import FusionServer

Serve = Callable[..., FusionServer]


@pytest.mark.parametrize("encoding", ["raw", "png"])
def test_many_calls_at_once_get_their_own_pictures(
    server: FusionServer,
    fuser: Fuser,
    picture: Any,
    encoding: str,
    client_of: Callable[..., FusionClient],
) -> None:
    pairs = [(picture(seed=seed), picture(channels=3, seed=50 + seed)) for seed in range(30)]

    async def main() -> list[Any]:
        async with client_of(server) as client:
            return await asyncio.gather(*(client.fuse(*pair, encoding=encoding) for pair in pairs))

    for fused, pair in zip(asyncio.run(main()), pairs, strict=True):
        np.testing.assert_array_equal(fused, fuser.fuse(*pair))


def test_options_details_and_information(
    server: FusionServer,
    fuser: Fuser,
    picture: Any,
    vis: Any,
    client_of: Callable[..., FusionClient],
) -> None:
    ir = picture(40, 72, dtype=np.uint16)
    options: dict[str, Any] = {
        "homography": [1.0, 0, 4, 0, 1, -3, 0, 0, 1],
        "ir_mapping": "linear:900:40000",
        "ir_polarity": "black-hot",
    }

    async def main() -> None:
        async with client_of(server) as client:
            result = await client.fuse_with_details(ir, vis, model="mean:1", **options)
            np.testing.assert_array_equal(result.image, fuser.fuse(ir, vis, **options))
            assert (result.model, result.timings.batch_size) == ("mean:1", 1)
            assert await client.health() == "serving"
            models = await client.models()
            assert tuple(models) == (await client.server_info()).models
            assert [model.reference for model in models] == ["mean:1", "mean:2"]

    asyncio.run(main())


def test_errors(
    server: FusionServer,
    serve: Serve,
    scripted: Any,
    ir: Any,
    vis: Any,
    client_of: Callable[..., FusionClient],
) -> None:
    async def main() -> None:
        async with client_of(server) as client:
            with pytest.raises(InvalidInput, match="ir: got float64"):
                await client.fuse(ir.astype(float), vis)
            with pytest.raises(InvalidRequest, match="at least 32 pixels"):
                await client.fuse(ir[:20], vis[:20])
            with pytest.raises(UnknownModel, match="valid: mean:1, mean:2"):
                await client.fuse(ir, vis, model="median")
            with pytest.raises(UnknownModel):
                _ = [result async for result in client.stream([(ir, vis)], model="median")]
        slow = serve(scripted)
        async with client_of(slow) as client:
            with pytest.raises(CallTimeout):
                await client.fuse(ir, vis, timeout=0.2)
        scripted.gate.set()
        slow.stop()
        async with client_of(slow, retries=1) as client:
            with pytest.raises(ServerUnreachable, match="start one with: crossfuse serve"):
                await client.health()
        with pytest.raises(RuntimeError, match="this client is closed"):
            await client.health()

    asyncio.run(main())


def test_closing_the_client_is_not_the_cancelling_of_the_task(
    serve: Serve,
    scripted: Any,
    ir: Any,
    vis: Any,
    client_of: Callable[..., FusionClient],
    soon: Callable[..., Awaitable[None]],
) -> None:
    async def main() -> None:
        client = client_of(serve(scripted))
        call = asyncio.create_task(client.fuse(ir, vis))
        await soon(lambda: scripted.calls == 1)
        await client.close()
        with pytest.raises(CallCancelled):
            await call
        async with client_of(serve(scripted)) as other:
            task = asyncio.create_task(other.fuse(ir, vis))
            await soon(lambda: scripted.calls == 2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(main())


def test_retries_obey_the_server(monkeypatch: pytest.MonkeyPatch, ir: Any, vis: Any) -> None:
    answers: list[Exception | None] = [
        ServerBusy("full", retry_after=0.25),
        ServerBusy("full"),
        None,
    ]
    pauses: list[float] = []

    def fake(ir: Any, vis: Any, **options: Any) -> Any:
        if (error := answers.pop(0)) is not None:
            raise error
        return vis

    sleep = asyncio.sleep

    async def short_sleep(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr("crossfuse.aio.asyncio.sleep", short_sleep)
    client = FusionClient(transport=LocalTransport(fake))
    np.testing.assert_array_equal(asyncio.run(client.fuse(ir, vis)), vis)
    assert 0.3 <= pauses[0] <= 0.35
    assert 0.1 <= pauses[1] <= 0.2


def test_a_restarted_server_is_found_again(
    serve: Serve, scripted: Any, ir: Any, vis: Any, client_of: Callable[..., FusionClient]
) -> None:
    scripted.gate.set()

    async def main() -> None:
        first = serve(scripted)
        async with client_of(first) as client:
            await client.fuse(ir, vis)
            await asyncio.to_thread(first.stop)
            with pytest.raises(ServerUnavailable):
                await client.fuse(ir, vis)
            await asyncio.to_thread(serve, scripted, port=first.port)
            np.testing.assert_array_equal(await client.fuse(ir, vis), vis)

    asyncio.run(main())


def test_a_function_takes_the_place_of_a_server(fuser: Fuser, ir: Any, vis: Any) -> None:
    async def main() -> None:
        async with FusionClient(transport=LocalTransport(fuser.fuse)) as client:
            np.testing.assert_array_equal(await client.fuse(ir, vis), fuser.fuse(ir, vis))
            results = [result async for result in client.stream([(ir, vis), (ir[:9], vis)])]
            np.testing.assert_array_equal(results[0].image, fuser.fuse(ir, vis))
            assert type(results[1].error) is InvalidInput
            assert await client.health() == "serving"

    asyncio.run(main())
