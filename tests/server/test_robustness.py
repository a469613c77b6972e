"""Crowds, callers that die, do not read, say nothing or send rubbish: the server keeps serving."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse.v1 import fusion_pb2_grpc

Serve = Callable[..., Any]
Eventually = Callable[..., None]

# 600 is the ten minutes of an operator who went for coffee; the suite waits less.
IDLE_SECONDS = float(os.environ.get("CROSSFUSE_IDLE_SECONDS", "1"))

# What a server may keep after abuse: the stacks of its thread pool, caches, holes in the heap. One
# of the large messages that it is sent would be more.
MARGIN_MIB = 24

MESSAGE_BYTES = 64 * 2**20

# Their threads are kept when they have been made.
POOLS = ("call", "stream-call", "control")

# Sends frames on a stream and never ends by itself.
CLIENT = """
import sys
import grpc
from crossfuse.v1 import fusion_pb2 as pb, fusion_pb2_grpc

def requests():
    yield pb.FuseStreamRequest(config=pb.StreamConfig())
    image = dict(width=640, height=480, data=bytes(640 * 480), channels=1)
    number = 0
    while True:
        number += 1
        frame = pb.StreamFrame(frame_id=number, ir=pb.Image(**image), vis=pb.Image(**image))
        yield pb.FuseStreamRequest(frame=frame)

stub = fusion_pb2_grpc.FusionServiceStub(grpc.insecure_channel(sys.argv[1]))
for answer in stub.FuseStream(requests()):
    print(answer.frame_id, flush=True)
"""

# A server that tells what it holds for every line it is sent.
SERVER = """
import json, sys, threading
from collections import Counter
from pathlib import Path
from crossfuse.bundles import store
from crossfuse_server import memory
from crossfuse_server.app import FusionServer
from crossfuse_server.settings import ServerSettings

memory.IDLE_SECONDS = 0.2
store.search_path = lambda models=None: [models]
settings = ServerSettings(
    port=0, models=Path(sys.argv[1]), default_model="mean:1", threads=1, decoders=1,
    warm_up="32x32", max_queue=16, max_streams=4,
)
server = FusionServer(settings)
server.start()
print(server.port, flush=True)
for line in sys.stdin:
    status = dict(line.split(":", 1) for line in open("/proc/self/status"))
    print(json.dumps({
        "mib": int(status["VmRSS"].split()[0]) / 1024,
        "threads": Counter(thread.name.partition("_")[0] for thread in threading.enumerate()),
        "streams": len(server.open_streams),
        "bytes": server.admission.bytes_held,
        "descriptors": len(list(Path("/proc/self/fd").iterdir())),
    }), flush=True)
"""


class ServerProcess:
    """A server in a process of its own, so that what it holds can be measured."""

    def __init__(self, models: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SERVER, str(models)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = int(self._line())
        self.address = f"127.0.0.1:{self.port}"

    def holds(self) -> dict[str, Any]:
        """Its memory, its threads by name, its streams and descriptors."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        held: dict[str, Any] = json.loads(self._line())
        return held

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@pytest.fixture
def server_process(models: Path) -> Iterator[ServerProcess]:
    if sys.platform != "linux":
        pytest.skip("memory and descriptors are read from /proc")
    process = ServerProcess(models)
    yield process
    process.end()


@contextlib.contextmanager
def killed_client(address: str) -> Iterator[None]:
    """A client in the middle of a stream; it is killed at the end of the block."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, address], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(3)] == ["1\n", "2\n", "3\n"]
    yield
    process.send_signal(signal.SIGKILL)
    process.communicate()


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """A stub over a connection of its own, not shared with other channels of this process."""
    options = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_receive_message_length", -1),
    ]
    with grpc.insecure_channel(address, options=options) as channel:
        stub: Any = fusion_pb2_grpc.FusionServiceStub
        yield stub(channel), channel


def test_two_hundred_callers_get_their_own_pictures(serve: Serve, make: Any) -> None:
    running = serve()
    with contextlib.ExitStack() as stack:
        stubs = [stack.enter_context(connected(running.address))[0] for _ in range(20)]
        pairs = [(make.ir(seed=seed), make.vis(seed=seed)) for seed in range(200)]
        futures = [
            stubs[number % 20].Fuse.future(make.request(*pair, request_id=str(number)), timeout=60)
            for number, pair in enumerate(pairs)
        ]
        for number, (future, (ir, vis)) in enumerate(zip(futures, pairs, strict=True)):
            answer = future.result()
            assert answer.request_id == str(number)
            expected = np.rint(0.5 * ir[..., None] + 0.5 * vis)
            assert np.array_equal(make.pixels(answer.fused), expected)
    assert running.ended("Fuse") == {"OK": 200}


def test_a_killed_client(serve: Serve, make: Any, eventually: Eventually) -> None:
    running = serve()
    with killed_client(running.address):
        assert len(running.open_streams) == 1
    eventually(lambda: running.stream_count == 0)
    eventually(lambda: sum(running.ended("FuseStream").values()) == 1)
    assert running.fuse(make.request()).fused.height == 48
    assert running.waiting == 0


def test_a_slow_reader_holds_up_nobody_but_itself(
    serve: Serve, make: Any, eventually: Eventually
) -> None:
    frames, in_flight = 60, 3
    running = serve()
    ir, vis = make.raw(make.ir(480, 640)), make.raw(make.vis(480, 640))
    stream = running.stream(max_in_flight=in_flight)
    for number in range(frames):
        stream.frame(number, ir, vis)
    stream.half_close()
    eventually(lambda: running.open_streams != [])
    (serving,) = running.open_streams
    for _ in range(20):
        assert running.fuse(make.request()).fused.height == 48
        counters = serving.counters
        assert counters.received - counters.delivered <= in_flight
    assert serving.counters.delivered < frames, "the server did not wait for its reader"
    answers, status = stream.rest()
    assert [answer.frame_id for answer in answers] == list(range(frames))
    assert status.code == 0


@pytest.mark.timeout(300 + 2 * IDLE_SECONDS)
def test_an_idle_stream(serve: Serve, make: Any) -> None:
    running = serve()
    stream = running.stream(timeout=None)
    ir, vis = make.raw(make.ir()), make.raw(make.vis())
    stream.frame(1, ir, vis)
    assert stream.answer().WhichOneof("outcome") == "fused"
    time.sleep(IDLE_SECONDS)
    assert running.health() == "SERVING"
    stream.frame(2, ir, vis)
    assert stream.answer().WhichOneof("outcome") == "fused"
    stream.half_close()
    assert stream.rest()[1].code == 0


@pytest.mark.parametrize(
    ("excess", "code", "told"),
    [
        (1, grpc.StatusCode.INVALID_ARGUMENT, "message: got "),
        (10**6, grpc.StatusCode.RESOURCE_EXHAUSTED, "larger than max"),
    ],
)
def test_a_message_over_the_limit(
    excess: int, code: grpc.StatusCode, told: str, server: Any, make: Any
) -> None:
    """In words of ours up to twice the limit; what is larger gRPC does not take in."""
    limit = server.info().limits.max_message_bytes
    large = make.request(vis=make.raw(make.vis(), data=bytes(limit + excess)))
    status = server.refusal(large)
    assert status.code == code.value[0]
    assert told in status.message
    assert len(status.details) == 0, "a retry would help nobody"
    assert server.fuse(make.request()).fused.height == 48


def rubbish(limit: int) -> dict[str, tuple[bytes, grpc.StatusCode]]:
    """Messages that are as large as a message may be, and larger."""
    field = pb.FuseRequest(vis=pb.Image(data=bytes(MESSAGE_BYTES)))
    return {
        "no message": (b"\xff" * MESSAGE_BYTES, grpc.StatusCode.INVALID_ARGUMENT),
        "no picture": (field.SerializeToString(), grpc.StatusCode.INVALID_ARGUMENT),
        "too large": (bytes(limit + 1), grpc.StatusCode.INVALID_ARGUMENT),
    }


def abuse(server: ServerProcess, make: Any) -> None:
    """Everything at once that a caller may do and should not."""
    ir, vis = make.raw(make.ir(480, 640)), make.raw(make.vis(480, 640))
    with contextlib.ExitStack() as stack:
        stub, channel = stack.enter_context(connected(server.address))
        # Peers that speak no HTTP/2, and one that says nothing at all.
        for greeting in (b"", b"GET / HTTP/1.1\r\n\r\n", os.urandom(4096)):
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
            with contextlib.suppress(OSError):
                peer.sendall(greeting)
        stack.enter_context(killed_client(server.address))
        limit = stub.GetServerInfo(pb.GetServerInfoRequest(), timeout=60).limits.max_message_bytes
        call = channel.unary_unary("/crossfuse.v1.FusionService/Fuse")
        for name, (message, code) in rubbish(limit).items():
            with pytest.raises(grpc.RpcError) as caught:
                call(message, timeout=60)
            assert caught.value.code() is code, name
        # A reader that does not read, and is then gone.
        messages = [pb.FuseStreamRequest(config=pb.StreamConfig(max_in_flight=8))]
        for number in range(40):
            frame = pb.StreamFrame(frame_id=number, ir=ir, vis=vis)
            messages.append(pb.FuseStreamRequest(frame=frame))
        slow = stub.FuseStream(iter(messages), timeout=60)
        next(slow)
        # More callers than there are places.
        crowd = [stub.Fuse.future(pb.FuseRequest(ir=ir, vis=vis), timeout=60) for _ in range(80)]
        codes = {future.code() for future in crowd}
        assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        slow.cancel()


def test_abuse_leaves_nothing_behind(
    server_process: ServerProcess, make: Any, eventually: Eventually
) -> None:
    ask = pb.GetServerInfoRequest()
    with connected(server_process.address) as (stub, _):
        eventually(lambda: stub.GetServerInfo(ask, timeout=60).state == pb.SERVING_STATE_SERVING)
        # Several at once: what the runtime keeps for each pair it runs beside others is no leak.
        request = make.request(make.ir(480, 640), make.vis(480, 640))
        for future in [stub.Fuse.future(request, timeout=60) for _ in range(12)]:
            future.result()
    before = server_process.holds()
    for _ in range(2):
        abuse(server_process, make)

    def is_as_before() -> bool:
        held = server_process.holds()
        for name in POOLS:
            most = {"call": 2 * (16 + 32) + 16, "stream-call": 4 + 16, "control": 96}[name]
            assert held["threads"].pop(name, 0) <= most, "a pool grows to its bound"
            before["threads"].pop(name, None)
        return bool(
            held["threads"] == before["threads"]
            and held["streams"] == 0
            and held["bytes"] == 0
            and held["descriptors"] <= before["descriptors"]
            and held["mib"] < before["mib"] + MARGIN_MIB
        )

    eventually(is_as_before, f"{before} became {server_process.holds()}")
    with connected(server_process.address) as (stub, _):
        answer = stub.Fuse(make.request(), timeout=60)
    assert answer.fused.height == 48
