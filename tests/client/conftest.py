"""Real servers on free ports, and pictures to send them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossfuse import aio
from crossfuse.arrays import UInt8Array
from crossfuse.client import FusionClient
from crossfuse.engines import Engine, EngineDescription
from crossfuse.fuser import Fuser, load
from crossfuse_server.app import FusionServer
from crossfuse_server.models import State
from crossfuse_server.settings import load_settings

# For what must happen soon; long, because shared machines stall.
PATIENCE = 60.0


class Scripted(Engine):
    """An engine that gives the visible picture back when the test lets it, or fails."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.error: Exception | None = None
        self.calls = 0

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        self.calls += 1
        assert self.gate.wait(PATIENCE), "the test never opened the gate"
        if self.error is not None:
            raise self.error
        return vis

    def describe(self) -> EngineDescription:
        return EngineDescription("mean", 1, "fp32", "0" * 64, "cpu", "none", "none", 1, 32)


@pytest.fixture
def scripted() -> Iterator[Scripted]:
    """An engine that does what the test says; its gate is open after the test."""
    engine = Scripted()
    yield engine
    engine.gate.set()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., Path]) -> Path:
    """Two bundles: mean:1, and mean:2 with more infrared."""
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder, "mean", 1, 0.5)
    write_bundle(folder, "mean", 2, 0.75)
    return folder


@pytest.fixture(scope="module", autouse=True)
def only_given_models() -> Iterator[None]:
    """No bundle of this machine or of the package is served beside those of the test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crossfuse.bundles.store.search_path", lambda models=None: [models])
        yield


@pytest.fixture(scope="session")
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Waits for something another thread will do."""

    def wait(condition: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < end, f"never happened: {condition}"
            time.sleep(0.002)

    return wait


@pytest.fixture(scope="session")
def start_server(models: Path, eventually: Callable[..., None]) -> Callable[..., FusionServer]:
    """Starts a server; `engine` takes the place of every model's."""

    def start(
        engine: Engine | None = None,
        *,
        open_engines: Callable[[Any], list[Engine]] | None = None,
        wait: bool = True,
        **settings: Any,
    ) -> FusionServer:
        values = {
            "port": 0,
            "models": models,
            "default_model": "mean:1",
            "threads": 1,
            "warm_up": "32x32",
            "drain_seconds": 5.0,
        }
        server = FusionServer(
            load_settings({**values, **settings}, environment={}),
            open_engines if engine is None else lambda bundle: [engine],
        )
        server.start()
        if wait:
            eventually(lambda: server.state is State.SERVING)
        return server

    return start


@pytest.fixture
def serve(start_server: Callable[..., FusionServer]) -> Iterator[Callable[..., FusionServer]]:
    """Starts servers that end with the test."""
    started: list[FusionServer] = []

    def start(*args: Any, **settings: Any) -> FusionServer:
        started.append(start_server(*args, **settings))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture(scope="module")
def server(start_server: Callable[..., FusionServer]) -> Iterator[FusionServer]:
    """A server of the real bundles, for tests that leave it as it was."""
    running = start_server()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def address(server: FusionServer) -> str:
    """Where that server listens."""
    return f"127.0.0.1:{server.port}"


@pytest.fixture
def connect() -> Iterator[Callable[..., FusionClient]]:
    """Makes clients, of a server or of an address, that are closed with the test."""
    opened: list[FusionClient] = []

    def make(to: FusionServer | str, **options: Any) -> FusionClient:
        target = to if isinstance(to, str) else f"127.0.0.1:{to.port}"
        opened.append(FusionClient(target, **{"timeout": PATIENCE, **options}))
        return opened[-1]

    yield make
    for client in opened:
        client.close()


@pytest.fixture
def client(connect: Callable[..., FusionClient], address: str) -> FusionClient:
    """A client of `server`."""
    return connect(address)


@pytest.fixture(scope="session")
def client_of() -> Callable[..., aio.FusionClient]:
    """Makes asynchronous clients of a server; whoever asks closes them."""

    def make(server: FusionServer, **options: Any) -> aio.FusionClient:
        return aio.FusionClient(f"127.0.0.1:{server.port}", **{"timeout": PATIENCE, **options})

    return make


@pytest.fixture(scope="session")
def soon() -> Callable[[Callable[[], bool]], Awaitable[None]]:
    """`eventually` for event loops."""

    async def wait(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE):
            while not condition():
                await asyncio.sleep(0.002)

    return wait


@pytest.fixture(scope="session")
def fuser(models: Path) -> Iterator[Fuser]:
    """The default model of the servers, in this process."""
    with load(models / "mean" / "1", threads=1) as loaded:
        yield loaded


@pytest.fixture(scope="session")
def picture() -> Callable[..., Any]:
    """Makes smooth random pictures: HxW, or HxWx3 with channels=3."""

    def make(
        height: int = 48,
        width: int = 64,
        *,
        channels: int = 1,
        seed: int = 1,
        dtype: Any = np.uint8,
    ) -> Any:
        rng = np.random.default_rng(seed)
        rows = np.linspace(0, np.iinfo(dtype).max / 2, height)[:, None, None]
        noise = rng.integers(0, np.iinfo(dtype).max // 2, (height, width, channels))
        image = (rows + noise).astype(dtype)
        return image[..., 0] if channels == 1 else image

    return make


@pytest.fixture(scope="session")
def ir(picture: Callable[..., Any]) -> Any:
    """uint8 48x64."""
    return picture(seed=1)


@pytest.fixture(scope="session")
def vis(picture: Callable[..., Any]) -> Any:
    """uint8 48x64x3 RGB."""
    return picture(channels=3, seed=2)
