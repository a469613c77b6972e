"""Engines that fail, hang or come back: what callers are told, and what health says meanwhile."""

from __future__ import annotations

import logging
import re
import threading
import time
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest

from crossfuse.arrays import UInt8Array
from crossfuse.errors import BundleError, DeviceLost, OutOfMemory
from crossfuse.v1 import fusion_pb2 as pb

Serve = Callable[..., Any]
Eventually = Callable[..., None]

INTERNAL = grpc.StatusCode.INTERNAL.value[0]
INCIDENT = re.compile(r"a fault in the server, incident [0-9a-f]{8}; its log says more")


class Opener:
    """Opens engines one after the other: each is what the list says, the last one for ever."""

    def __init__(self, stand_in: Any, *actions: Any) -> None:
        self.engines: list[Any] = []
        self.may_open = threading.Event()
        self.may_open.set()
        self._stand_in = stand_in
        self._actions = list(actions)

    def __call__(self, bundle: Any) -> list[Any]:
        if bundle.reference != "mean:1":
            return [self._stand_in(lambda ir, vis: vis)]
        assert self.may_open.wait(60)
        action = self._actions.pop(0) if len(self._actions) > 1 else self._actions[0]
        if isinstance(action, Exception):
            raise action
        self.engines.append(self._stand_in(action))
        return [self.engines[-1]]


def passes(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
    """The visible picture."""
    return vis


def crashes(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
    """An engine of which nothing is left."""
    raise ZeroDivisionError("the driver is gone")


def loses_its_device(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
    """An engine whose device went away."""
    raise DeviceLost("the device was lost and the model must be loaded again")


def test_a_crashed_engine_is_opened_again(
    serve: Serve, stand_in: Any, make: Any, eventually: Eventually
) -> None:
    opener = Opener(stand_in, crashes, passes)
    running = serve(open_engines=opener)
    status = running.refusal(make.request())
    assert status.code == INTERNAL
    assert INCIDENT.fullmatch(status.message)
    assert running.fuse(make.request()).fused.height == 48
    assert len(opener.engines) == 2
    eventually(lambda: opener.engines[0].closed)
    assert not opener.engines[1].closed
    assert running.health() == "SERVING"


def test_health_tells_while_there_is_no_engine(
    serve: Serve, stand_in: Any, make: Any, eventually: Eventually
) -> None:
    opener = Opener(stand_in, loses_its_device, BundleError("no driver"), passes)
    running = serve(open_engines=opener)
    eventually(lambda: running.health("other:1") == "SERVING")
    opener.may_open.clear()
    assert running.refusal(make.request()).code == grpc.StatusCode.UNAVAILABLE.value[0]
    eventually(lambda: running.health() == "NOT_SERVING")
    info = running.info()
    assert info.models[0].state == pb.SERVING_STATE_LOADING
    assert info.models[0].message.startswith("the engine failed: the device was lost")
    assert any("the device was lost" in warning for warning in info.warnings)
    status = running.refusal(make.request())
    assert status.code == grpc.StatusCode.UNAVAILABLE.value[0]
    assert "mean:1: the engine failed" in status.message
    other = running.fuse(make.request(model=pb.ModelRef(name="other")))
    assert other.fused.height == 48, "the others are untouched"
    opener.may_open.set()
    eventually(lambda: running.health() == "SERVING", "also after an attempt that failed")
    assert running.fuse(make.request()).fused.height == 48
    assert list(running.info().warnings) == []


def test_a_picture_that_the_engine_cannot_run_costs_nobody_else_the_engine(
    serve: Serve, stand_in: Any, make: Any
) -> None:
    def action(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        if ir[0, 0] == 1:
            raise OutOfMemory("the device has no memory left for this batch")
        return vis

    opener = Opener(stand_in, action)
    running = serve(open_engines=opener)
    status = running.refusal(make.request(np.full((48, 64), 1, np.uint8)))
    assert status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
    assert running.fuse(make.request(np.full((48, 64), 2, np.uint8))).fused.height == 48
    assert len(opener.engines) == 1


def test_one_of_two_devices_is_lost(
    serve: Serve, stand_in: Any, make: Any, eventually: Eventually
) -> None:
    """The other one serves on, and health says which is missing."""
    lost = threading.Event()

    def first(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        lost.set()
        return loses_its_device(ir, vis)

    def second(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        assert lost.wait(60)
        return vis

    opened: list[int] = []
    never = threading.Event()

    def open_engines(bundle: Any) -> list[Any]:
        if bundle.reference != "mean:1":
            return [stand_in(passes)]
        opened.append(1)
        if len(opened) > 1:
            never.wait(60)
        return [stand_in(first), stand_in(second)]

    running = serve(open_engines=open_engines)
    futures = [running.stub.Fuse.future(make.request(), timeout=60) for _ in range(2)]
    codes = sorted(future.code().name for future in futures)
    assert codes == ["OK", "UNAVAILABLE"]
    eventually(lambda: len(running.info().warnings) == 1)
    assert running.health() == "SERVING"
    for _ in range(5):
        assert running.fuse(make.request()).fused.height == 48
    never.set()


def test_a_stalled_engine_is_replaced(
    serve: Serve,
    stand_in: Any,
    make: Any,
    eventually: Eventually,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stuck, go_on = threading.Event(), threading.Event()

    def hangs(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        stuck.set()
        assert go_on.wait(60)
        return vis

    opener = Opener(stand_in, hangs, passes)
    running = serve(open_engines=opener, stall_seconds=0.1)
    eventually(lambda: running.health("other") == "SERVING")
    call = running.stub.Fuse.future(make.request(), timeout=60)
    assert stuck.wait(60)
    other = running.fuse(make.request(model=pb.ModelRef(name="other")))
    assert other.fused.height == 48
    with pytest.raises(grpc.RpcError) as caught:
        call.result()
    assert caught.value.code() is grpc.StatusCode.INTERNAL
    assert INCIDENT.fullmatch(str(caught.value.details()))
    assert "did not come back in time" in caplog.text
    eventually(lambda: running.health() == "SERVING")
    assert running.fuse(make.request()).fused.height == 48
    go_on.set()
    eventually(lambda: opener.engines[0].closed, "closed when it came back after all")


def test_the_server_stops_at_once_although_its_engine_hangs(
    serve: Serve, stand_in: Any, make: Any
) -> None:
    stuck, never = threading.Event(), threading.Event()

    def hangs(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        stuck.set()
        never.wait(60)
        return vis

    running = serve(stand_in(hangs))
    call = running.stub.Fuse.future(make.request(), timeout=60)
    assert stuck.wait(60)
    running.server.stop()
    running.server.wait()
    assert not never.is_set()
    assert call.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    never.set()


def test_an_engine_that_keeps_failing_is_opened_less_and_less_often(
    serve: Serve, stand_in: Any, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """Else a client could keep the server busy with opening engines."""
    caplog.set_level(logging.CRITICAL)
    opener = Opener(stand_in, crashes)
    running = serve(open_engines=opener)
    end = time.monotonic() + 1.5
    while time.monotonic() < end:
        running.refusal(make.request())
    assert 2 <= len(opener.engines) <= 6


def test_an_engine_that_answers_nonsense(serve: Serve, stand_in: Any, make: Any) -> None:
    """A picture of another size is a fault, and nobody gets it."""

    def action(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        return vis[:-1] if ir[0, 0] == 1 else vis

    running = serve(stand_in(action))
    status = running.refusal(make.request(np.full((48, 64), 1, np.uint8)))
    assert status.code == INTERNAL
    assert running.fuse(make.request(np.full((48, 64), 2, np.uint8))).fused.height == 48
