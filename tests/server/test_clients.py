"""Who counts as one client where there are no tokens: an address, with every connection of it."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import grpc
import pytest

from crossfuse.v1 import fusion_pb2_grpc

Serve = Callable[..., Any]
Eventually = Callable[..., None]

RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED


class Relay:
    """Passes connections on from another address of this machine."""

    def __init__(self, port: int, address: str) -> None:
        self._target = ("127.0.0.1", port)
        self._source = (address, 0)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = [self._listener]
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                here, _ = self._listener.accept()
                there = socket.create_connection(self._target, source_address=self._source)
                self._open += [here, there]
                for ends in ((here, there), (there, here)):
                    threading.Thread(target=_copy, args=ends, daemon=True).start()

    def close(self) -> None:
        for each in self._open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _copy(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)


@pytest.fixture
def other_machine() -> Iterator[Callable[[int], Any]]:
    """Stubs for a server whose calls come from another address."""
    relays: list[Relay] = []
    channels: list[grpc.Channel] = []

    def connect(port: int) -> Any:
        relays.append(Relay(port, "127.0.0.2"))
        channels.append(grpc.insecure_channel(f"127.0.0.1:{relays[-1].port}"))
        stub: Any = fusion_pb2_grpc.FusionServiceStub
        return stub(channels[-1])

    yield connect
    for channel in channels:
        channel.close()
    for relay in relays:
        relay.close()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
def test_every_address_has_its_share(
    serve: Serve,
    gated: Any,
    make: Any,
    other_machine: Callable[[int], Any],
    eventually: Eventually,
) -> None:
    """More connections give a client no more; another address finds room beside it."""
    running = serve(gated, max_queue=4)
    inside = running.stub.Fuse.future(make.request(), timeout=60)
    gated.wait_for_picture()
    waiting = [running.stub.Fuse.future(make.request(), timeout=60) for _ in range(4)]
    eventually(lambda: running.waiting == 4)
    options = [("grpc.use_local_subchannel_pool", 1)]  # a connection of its own
    with grpc.insecure_channel(running.address, options=options) as channel:
        stub: Any = fusion_pb2_grpc.FusionServiceStub
        with pytest.raises(grpc.RpcError) as caught:
            stub(channel).Fuse(make.request(), timeout=60)
    assert caught.value.code() is RESOURCE_EXHAUSTED
    other = other_machine(running.server.port).Fuse.future(make.request(), timeout=60)
    eventually(lambda: running.waiting == 5)
    gated.let_through()
    for call in (inside, *waiting, other):
        assert call.result().fused.height == 48
