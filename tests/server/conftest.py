"""Real servers on free ports, engines that do what a test says, and messages to send."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import grpc
import numpy as np
import pytest
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from crossfuse.arrays import UInt8Array
from crossfuse.bundles import store
from crossfuse.engines import Engine, EngineDescription
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc
from crossfuse_server.app import FusionServer
from crossfuse_server.models import State
from crossfuse_server.settings import ServerSettings
from crossfuse_server.streams import FrameStream

# For what must happen soon; long, because shared machines stall. Nothing sleeps for it.
PATIENCE = 60.0
ANY_SIZE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class StandIn(Engine):
    """An engine without a model: `action` makes the fused picture of one pair."""

    def __init__(self, action: Callable[[UInt8Array, UInt8Array], UInt8Array]) -> None:
        self._action = action
        self.closed = False

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        return self._action(ir[0], vis[0])[None]

    def describe(self) -> EngineDescription:
        return EngineDescription("mean", 1, "fp32", "0" * 64, "cpu", "none", "none", 1, 32)

    def close(self) -> None:
        self.closed = True


class Gated(StandIn):
    """Returns the visible picture, but only when the test lets it; remembers what came."""

    def __init__(self) -> None:
        super().__init__(self._pass)
        self.seen: list[int] = []
        self._arrivals = threading.Semaphore(0)
        self._tickets = threading.Semaphore(0)

    def wait_for_picture(self) -> None:
        """Return when another picture is inside."""
        assert self._arrivals.acquire(timeout=PATIENCE), "no picture reached the engine"

    def let_through(self, count: int = 1_000_000) -> None:
        """Let pictures out, by default all that will ever come."""
        self._tickets.release(count)

    def _pass(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        self.seen.append(int(ir[0, 0]))
        self._arrivals.release()
        assert self._tickets.acquire(timeout=PATIENCE), "the test never opened the gate"
        return vis


class StreamCall:
    """A FuseStream call whose messages are sent one by one."""

    def __init__(
        self, stub: Any, *, timeout: float | None, metadata: Any = None, **config: Any
    ) -> None:
        self._requests: queue.SimpleQueue[pb.FuseStreamRequest | None] = queue.SimpleQueue()
        self.send(config=pb.StreamConfig(**config))
        self.call = stub.FuseStream(
            iter(self._requests.get, None), timeout=timeout, metadata=metadata
        )

    def send(self, **message: Any) -> None:
        """Send one message."""
        self._requests.put(pb.FuseStreamRequest(**message))

    def frame(self, frame_id: int, ir: pb.Image, vis: pb.Image, capture_time_us: int = 0) -> None:
        """Send one frame."""
        frame = pb.StreamFrame(frame_id=frame_id, ir=ir, vis=vis, capture_time_us=capture_time_us)
        self.send(frame=frame)

    def half_close(self) -> None:
        """Send nothing more."""
        self._requests.put(None)

    def answer(self) -> pb.FuseStreamResponse:
        """The next answer."""
        response: pb.FuseStreamResponse = next(self.call)
        return response

    def rest(self) -> tuple[list[pb.FuseStreamResponse], Status]:
        """The remaining answers and the status the stream ended with."""
        answers = []
        try:
            answers.extend(self.call)
        except grpc.RpcError as error:
            return answers, status_of(error)
        return answers, Status()

    def end(self) -> None:
        """Cancel the call and free the thread that sends for it."""
        self.call.cancel()
        self.half_close()


class Running:
    """A server under test and its callers."""

    def __init__(self, server: FusionServer) -> None:
        self.server = server
        self.address = f"127.0.0.1:{server.port}"
        self.channel = grpc.insecure_channel(self.address, options=ANY_SIZE)
        stub: Any = fusion_pb2_grpc.FusionServiceStub
        self.stub = stub(self.channel)
        self._health = health_pb2_grpc.HealthStub(self.channel)
        self._streams: list[StreamCall] = []

    def fuse(self, request: pb.FuseRequest, timeout: float | None = PATIENCE) -> pb.FuseResponse:
        """Fuse one pair."""
        response: pb.FuseResponse = self.stub.Fuse(request, timeout=timeout)
        return response

    def refusal(self, request: pb.FuseRequest, timeout: float | None = PATIENCE) -> Status:
        """The status with which a call is refused; its code and text are those of the call."""
        with pytest.raises(grpc.RpcError) as caught:
            self.stub.Fuse(request, timeout=timeout)
        return status_of(caught.value)

    def stream(self, *, timeout: float | None = PATIENCE, **config: Any) -> StreamCall:
        """Open a stream; it is ended with the test."""
        self._streams.append(StreamCall(self.stub, timeout=timeout, **config))
        return self._streams[-1]

    def health(self, service: str = "") -> str:
        """What grpc.health says."""
        answer = self._health.Check(
            health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE
        )
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))

    def info(self) -> pb.GetServerInfoResponse:
        """What the server says of itself."""
        answer: pb.GetServerInfoResponse = self.stub.GetServerInfo(
            pb.GetServerInfoRequest(), timeout=PATIENCE
        )
        return answer

    @property
    def waiting(self) -> int:
        """How many jobs wait for the default model."""
        return self.server.host.default.queue.waiting

    @property
    def open_streams(self) -> list[FrameStream]:
        """The server's side of the streams that have sent their config."""
        return self.server.open_streams.frame_streams

    @property
    def stream_count(self) -> int:
        """How many streams the server counts, with those that have sent nothing."""
        return len(self.server.open_streams)

    def ended(self, method: str) -> dict[str, int]:
        """How many calls of a method ended with which status."""
        return {
            status: count
            for (name, status), count in self.server.calls.ended().items()
            if name == f"/crossfuse.v1.FusionService/{method}"
        }

    def end(self) -> None:
        """Stop the server and close the channel."""
        for stream in self._streams:
            stream.end()
        self.channel.close()
        self.server.stop()


def status_of(error: Any) -> Status:
    """The status of a failed call: the rich one where there is one, else code and text."""
    rich: Status | None = rpc_status.from_call(error)
    if rich is not None:
        return rich
    return Status(code=error.code().value[0], message=error.details() or "")


def raw_image(pixels: Any, **changes: Any) -> pb.Image:
    """A RAW picture of an array, HxW or HxWx3 RGB, uint8 or uint16."""
    fields: dict[str, Any] = {
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "channels": 1 if pixels.ndim == 2 else 3,
        "dtype": pb.DATA_TYPE_UINT16 if pixels.dtype == np.uint16 else pb.DATA_TYPE_UINT8,
        "encoding": pb.ENCODING_RAW,
        "data": pixels.astype(pixels.dtype.newbyteorder("<")).tobytes(),
    }
    return pb.Image(**{**fields, **changes})


def png_image(pixels: Any, **changes: Any) -> pb.Image:
    """A PNG of an array, HxW or HxWx3 RGB, uint8 or uint16."""
    stored = pixels if pixels.ndim == 2 else pixels[..., ::-1]
    data = cv2.imencode(".png", stored)[1].tobytes()
    return pb.Image(**{"encoding": pb.ENCODING_PNG, "data": data, **changes})


def infrared(height: int = 48, width: int = 64, seed: int = 1, dtype: Any = np.uint8) -> Any:
    """A random infrared picture."""
    most = np.iinfo(dtype).max
    return np.random.default_rng(seed).integers(0, most, (height, width), dtype, endpoint=True)


def visible(height: int = 48, width: int = 64, seed: int = 2) -> Any:
    """A random colour picture."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def pixels_of(image: pb.Image) -> Any:
    """A RAW answer as an array."""
    assert image.encoding == pb.ENCODING_RAW
    shape = (image.height, image.width, 3)[: 2 if image.channels == 1 else 3]
    return np.frombuffer(image.data, np.uint8).reshape(shape)


def request_of(ir: Any = None, vis: Any = None, **fields: Any) -> pb.FuseRequest:
    """A request; arrays are sent RAW, and random ones where none are given."""
    ir = infrared() if ir is None else ir
    vis = visible() if vis is None else vis
    return pb.FuseRequest(
        ir=ir if isinstance(ir, pb.Image) else raw_image(ir),
        vis=vis if isinstance(vis, pb.Image) else raw_image(vis),
        **fields,
    )


def eventually(condition: Callable[[], bool], what: str = "") -> None:
    """Wait for something another thread or process will do."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"never happened: {what or condition}"
        time.sleep(0.002)


@pytest.fixture(scope="session")
def make() -> SimpleNamespace:
    """Builders of pictures and messages."""
    return SimpleNamespace(
        raw=raw_image,
        png=png_image,
        ir=infrared,
        vis=visible,
        pixels=pixels_of,
        request=request_of,
    )


@pytest.fixture(scope="session", name="eventually")
def eventually_fixture() -> Callable[..., None]:
    """Waits for a condition."""
    return eventually


@pytest.fixture(scope="session", name="status_of")
def status_of_fixture() -> Callable[[grpc.RpcError], Status]:
    """Reads the status of a failed call."""
    return status_of


@pytest.fixture(scope="session")
def stand_in() -> type[StandIn]:
    """The engine that does what a function says."""
    return StandIn


@pytest.fixture
def gated() -> Iterator[Gated]:
    """An engine that waits for the test."""
    engine = Gated()
    yield engine
    engine.let_through()


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory, write_bundle: Callable[..., Path]) -> Path:
    """Three bundles: mean:1, mean:2 with more infrared, and other:1."""
    folder = tmp_path_factory.mktemp("models")
    write_bundle(folder, "mean", 1, 0.5)
    write_bundle(folder, "mean", 2, 0.75)
    write_bundle(folder, "other", 1, 0.25)
    return folder


@pytest.fixture(scope="module", autouse=True)
def only_given_models() -> Iterator[None]:
    """No bundle of this machine or of the package is served beside those of the test."""
    whole = store.search_path
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "search_path", lambda models=None: whole(models)[:1])
        yield


@pytest.fixture(scope="session")
def start_server(models: Path) -> Callable[..., Running]:
    """Starts a server; `engine` takes the place of every model's engine."""

    def start(
        engine: Engine | None = None,
        *,
        open_engines: Callable[[Any], list[Engine]] | None = None,
        wait: bool = True,
        **settings: Any,
    ) -> Running:
        values: dict[str, Any] = {
            "port": 0,
            "models": models,
            "default_model": "mean:1",
            "threads": 1,
            "warm_up": "32x32",
            "decoders": 2,
        }
        if engine is not None:
            open_engines = lambda _: [engine]  # noqa: E731
        server = FusionServer(ServerSettings(**{**values, **settings}), open_engines)
        server.start()
        running = Running(server)
        if wait:
            eventually(lambda: running.health() == "SERVING", "the server is ready")
        return running

    return start


@pytest.fixture
def serve(start_server: Callable[..., Running]) -> Iterator[Callable[..., Running]]:
    """Starts servers that end with the test."""
    started: list[Running] = []

    def start(*args: Any, **options: Any) -> Running:
        started.append(start_server(*args, **options))
        return started[-1]

    yield start
    for running in started:
        running.end()


@pytest.fixture(scope="module")
def server(start_server: Callable[..., Running]) -> Iterator[Running]:
    """One server with real engines, for tests that leave it as it was."""
    running = start_server(max_pixels=256 * 256, max_in_flight=4)
    models = running.server.host.models
    eventually(lambda: all(model.state is State.SERVING for model in models), "all are loaded")
    yield running
    running.end()
