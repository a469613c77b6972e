"""A full queue, deadlines, callers that go away, and engines that fail: over a real socket."""

from __future__ import annotations

import copy
import gc
import logging
import re
import threading
import weakref
from collections.abc import Callable
from typing import Any

import grpc
import numpy as np
import pytest
from google.rpc.error_details_pb2 import RetryInfo

from crossfuse.errors import DeviceLost, OutOfMemory
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server import convert
from crossfuse_server.calls import Calls

RESOURCE_EXHAUSTED = grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
INTERNAL = grpc.StatusCode.INTERNAL.value[0]
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE.value[0]

Serve = Callable[..., Any]
Eventually = Callable[..., None]


def marked(make: Any, number: int) -> pb.FuseRequest:
    """A request that the gated engine remembers by its number."""
    request: pb.FuseRequest = make.request(np.full((48, 64), number, np.uint8))
    return request


def retry_delay(status: Any) -> float:
    """Seconds after which the caller is asked to come back."""
    (detail,) = status.details
    info = RetryInfo()
    assert detail.Unpack(info)
    return float(info.retry_delay.ToNanoseconds() / 1e9)


def test_a_full_queue_refuses_with_a_time_to_come_back(
    serve: Serve, gated: Any, make: Any, eventually: Eventually
) -> None:
    running = serve(gated, max_queue=1)
    inside = running.stub.Fuse.future(marked(make, 1), timeout=60)
    gated.wait_for_picture()
    waiting = running.stub.Fuse.future(marked(make, 2), timeout=60)
    eventually(lambda: running.waiting == 1)
    status = running.refusal(marked(make, 3))
    assert status.code == RESOURCE_EXHAUSTED
    assert status.message == (
        "queue of mean:1: got more calls than the 1 that may wait; "
        "valid: fewer calls at once, or a retry after the time given"
    )
    assert 0 < retry_delay(status) < 10
    gated.let_through()
    assert inside.result().fused.height == waiting.result().fused.height == 48
    assert gated.seen == [1, 2]
    assert running.fuse(marked(make, 4)).fused.height == 48
    assert running.ended("Fuse") == {"OK": 3, "RESOURCE_EXHAUSTED": 1}


def test_no_work_is_spent_on_a_call_that_finds_no_place(
    serve: Serve, gated: Any, make: Any, eventually: Eventually
) -> None:
    """The broken picture of the third call is not looked at: it would be INVALID_ARGUMENT."""
    running = serve(gated, max_queue=1)
    futures = [running.stub.Fuse.future(marked(make, 1), timeout=60)]
    gated.wait_for_picture()
    futures.append(running.stub.Fuse.future(marked(make, 2), timeout=60))
    eventually(lambda: running.waiting == 1)
    broken = make.request(vis=pb.Image(encoding=pb.ENCODING_PNG, data=b"x"))
    assert running.refusal(broken).code == RESOURCE_EXHAUSTED
    gated.let_through()
    for future in futures:
        future.result()


def test_other_models_are_not_held_up(
    serve: Serve, gated: Any, stand_in: Any, make: Any, eventually: Eventually
) -> None:
    quick = stand_in(lambda ir, vis: vis)
    running = serve(
        open_engines=lambda b: [quick if b.manifest.name == "other" else gated], max_queue=1
    )
    blocked = running.stub.Fuse.future(marked(make, 1), timeout=60)
    gated.wait_for_picture()
    eventually(lambda: running.info().models[2].state == pb.SERVING_STATE_SERVING)
    answer = running.fuse(make.request(model=pb.ModelRef(name="other")))
    assert answer.model.name == "other"
    gated.let_through()
    blocked.result()


def test_two_engines_share_one_queue(serve: Serve, stand_in: Any, make: Any) -> None:
    """Both must be inside at once, or the barrier breaks."""
    barrier = threading.Barrier(2)

    def action(ir: Any, vis: Any) -> Any:
        barrier.wait(60)
        return vis

    running = serve(open_engines=lambda _: [stand_in(action), stand_in(action)])
    futures = [running.stub.Fuse.future(make.request(), timeout=60) for _ in range(2)]
    for future in futures:
        future.result()
    assert list(running.info().models[0].devices) == ["cpu"], "both on one device"


def test_an_expired_call_never_reaches_the_engine(
    serve: Serve, gated: Any, make: Any, eventually: Eventually
) -> None:
    running = serve(gated)
    first = running.stub.Fuse.future(marked(make, 1), timeout=60)
    gated.wait_for_picture()
    late = running.stub.Fuse.future(marked(make, 2), timeout=0.2)
    assert late.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    eventually(lambda: running.waiting == 0, "the expired call gave its place up")
    gated.let_through()
    first.result()
    assert running.fuse(marked(make, 3)).fused.height == 48
    assert gated.seen == [1, 3]
    eventually(lambda: running.ended("Fuse") == {"OK": 2, "DEADLINE_EXCEEDED": 1})


def test_a_cancelled_call_gives_its_place_up(
    serve: Serve, gated: Any, make: Any, eventually: Eventually
) -> None:
    running = serve(gated, max_queue=1)
    first = running.stub.Fuse.future(marked(make, 1), timeout=60)
    gated.wait_for_picture()
    gone = running.stub.Fuse.future(marked(make, 2), timeout=60)
    eventually(lambda: running.waiting == 1)
    gone.cancel()
    eventually(lambda: running.waiting == 0)
    second = running.stub.Fuse.future(marked(make, 3), timeout=60)
    eventually(lambda: running.waiting == 1)
    gated.let_through()
    first.result()
    second.result()
    assert gated.seen == [1, 3]
    eventually(lambda: running.ended("Fuse") == {"OK": 2, "CANCELLED": 1})


def test_a_call_whose_caller_goes_away_while_it_runs(
    serve: Serve, gated: Any, make: Any, eventually: Eventually, caplog: Any
) -> None:
    running = serve(gated)
    gone = running.stub.Fuse.future(marked(make, 1), timeout=60)
    gated.wait_for_picture()
    gone.cancel()
    eventually(lambda: running.server.calls.total_when_idle() is not None, "it has noticed")
    gated.let_through()
    assert running.fuse(marked(make, 2)).fused.height == 48
    eventually(lambda: running.ended("Fuse") == {"OK": 1, "CANCELLED": 1})
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_device_without_memory(serve: Serve, stand_in: Any, make: Any) -> None:
    def action(ir: Any, vis: Any) -> Any:
        raise OutOfMemory("the device has no memory left for this batch: 3 GB wanted")

    running = serve(stand_in(action))
    status = running.refusal(make.request())
    assert status.code == RESOURCE_EXHAUSTED
    assert status.message == "the device has no memory left for this batch: 3 GB wanted"
    assert retry_delay(status) == 0.5


def test_a_lost_device(serve: Serve, stand_in: Any, make: Any) -> None:
    def action(ir: Any, vis: Any) -> Any:
        raise DeviceLost("the device was lost and the model must be loaded again")

    status = serve(stand_in(action)).refusal(make.request())
    assert status.code == UNAVAILABLE
    assert status.message == "the device was lost and the model must be loaded again"


@pytest.mark.parametrize("way", ["Fuse", "FuseStream"])
def test_a_fault_of_the_engine(
    way: str, serve: Serve, stand_in: Any, make: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """The caller gets a number, the log the traceback under that number."""
    secret = "/opt/models/secret.onnx"  # noqa: S105

    def action(ir: Any, vis: Any) -> Any:
        if ir[0, 0] == 1:
            raise ZeroDivisionError(f"broken tensor in {secret}")
        return vis

    running = serve(stand_in(action))
    if way == "Fuse":
        request = marked(make, 1)
        request.request_id = "pair 7\nERROR forged"
        status = running.refusal(request)
        assert len(status.details) == 0
        where = r"/crossfuse.v1.FusionService/Fuse 'pair 7\nERROR forged'"
    else:
        where = "frame 5 of a stream"
        stream = running.stream()
        request = marked(make, 1)
        stream.frame(5, request.ir, request.vis)
        stream.frame(6, make.request().ir, request.vis)
        status = stream.answer().error
        assert stream.answer().WhichOneof("outcome") == "fused"
    assert status.code == INTERNAL
    incident = re.fullmatch(
        r"a fault in the server, incident ([0-9a-f]{8}); its log says more", status.message
    )
    assert incident is not None
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.getMessage() == f"incident {incident[1]} in {where}"
    assert record.exc_info is not None
    text = logging.Formatter().formatException(record.exc_info)
    assert secret in text
    assert "ZeroDivisionError" in text
    assert "in action" in text
    assert running.fuse(marked(make, 2)).fused.height == 48


@pytest.mark.parametrize("fault", [None, OutOfMemory("no"), ValueError("no")])
def test_pictures_are_freed_with_the_call(
    fault: Exception | None,
    serve: Serve,
    stand_in: Any,
    make: Any,
    eventually: Eventually,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not when the garbage collector next runs, which may be many large pictures later."""
    pictures: list[weakref.ref[Any]] = []

    def action(ir: Any, vis: Any) -> Any:
        if len(vis) == 48:  # else the server tries whether the engine is broken
            pictures.append(weakref.ref(vis))
        if fault is not None:
            raise copy.copy(fault)
        return vis.copy()

    running = serve(stand_in(action))
    # The records pytest keeps hold tracebacks, and those the pictures.
    monkeypatch.setattr(logging.root, "handlers", [])
    gc.collect()
    gc.disable()
    try:
        for number in range(3):
            if fault is None:
                running.fuse(marked(make, number))
            else:
                running.refusal(marked(make, number))
        assert len(pictures) == 3
        eventually(lambda: not any(picture() is not None for picture in pictures))
    finally:
        gc.enable()


def test_what_waits_is_refused_when_the_server_stops_at_once(
    serve: Serve, gated: Any, make: Any, eventually: Eventually, status_of: Any
) -> None:
    running = serve(gated)
    inside = running.stub.Fuse.future(marked(make, 1), timeout=60)
    gated.wait_for_picture()
    waiting = running.stub.Fuse.future(marked(make, 2), timeout=60)
    eventually(lambda: running.waiting == 1)
    stopping = threading.Thread(target=running.server.stop)
    stopping.start()
    for future in (inside, waiting):
        assert future.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED)
    gated.let_through()
    stopping.join(60)
    assert not stopping.is_alive()
    assert gated.seen == [1]
    assert gated.closed


@pytest.mark.parametrize("work", ["prepare_pair", "encode"])
def test_pictures_are_read_and_written_by_as_many_as_may(
    work: str, serve: Serve, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second one that could come in would do so while the first one waits for it."""
    real = getattr(convert, work)
    inside = threading.Semaphore(1)
    crowded = threading.Event()

    def watched(*args: Any, **options: Any) -> Any:
        if not inside.acquire(blocking=False):
            crowded.set()
        crowded.wait(0.1)
        try:
            return real(*args, **options)
        finally:
            inside.release()

    monkeypatch.setattr(convert, work, watched)
    running = serve(decoders=1)
    request = make.request(options=pb.FuseOptions(output_encoding=pb.ENCODING_PNG))
    futures = [running.stub.Fuse.future(request, timeout=60) for _ in range(3)]
    for future in futures:
        assert future.result().fused.encoding == pb.ENCODING_PNG
    assert not crowded.is_set()


def test_a_call_is_under_way_until_its_answer_has_left() -> None:
    """Else a draining server would cut off the answers that are still on their way."""

    class Context:
        def __init__(self, over: bool) -> None:
            self.over = over
            self.callbacks: list[Callable[[], None]] = []

        def add_callback(self, callback: Callable[[], None]) -> bool:
            self.callbacks.append(callback)
            return not self.over

    calls, context = Calls(), Context(over=False)
    calls.begin(context)  # type: ignore[arg-type]  # as much of a context as it needs
    calls.end("Fuse", "OK")
    assert not calls.wait_until_idle(0)
    assert calls.total_when_idle() is None
    context.callbacks[0]()
    assert calls.wait_until_idle(0)
    calls.begin(Context(over=True))  # type: ignore[arg-type]  # as above
    assert calls.wait_until_idle(0), "a call that is over is not waited for"
    assert calls.total_when_idle() == 1
