"""Streams through a real server: order, bounds, drops, and what ends them."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from crossfuse.client import (
    Frame,
    FusionClient,
    InvalidRequest,
    ServerNotReady,
    StreamResult,
    UnknownModel,
)
from crossfuse.client.frames import DEFAULT_IN_FLIGHT
from crossfuse.errors import InvalidInput
from crossfuse.fuser import Fuser
from crossfuse.images import HeldMapping
from crossfuse_server.app import FusionServer

Connect = Callable[..., FusionClient]
Serve = Callable[..., FusionServer]


class Counted:
    """Pairs of (ir, vis) that count how many were taken."""

    def __init__(self, ir: Any, vis: Any, stop: int | None = None) -> None:
        self.taken = 0
        self._pair = (ir, vis)
        self._stop = stop

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        while self.taken != self._stop:
            self.taken += 1
            yield self._pair


def streams_ended(server: FusionServer) -> int:
    counts = server.calls.ended().items()
    return sum(count for (method, _), count in counts if method.endswith("/FuseStream"))


def test_results_come_in_order_and_equal_the_local_pictures(
    client: FusionClient, fuser: Fuser, picture: Any
) -> None:
    pairs = [
        (picture(seed=seed), picture(channels=1 + 2 * (seed % 2), seed=99 - seed))
        for seed in range(30)
    ]
    results = list(client.stream(pairs))
    assert [result.frame_id for result in results] == list(range(30))
    for result, (ir, vis) in zip(results, pairs, strict=True):
        np.testing.assert_array_equal(result.image, fuser.fuse(ir, vis))
        assert result.timings is not None
        assert result.timings.infer_us > 0
        assert (result.model, result.dropped, result.error) == ("mean:1", None, None)


@pytest.mark.parametrize("encoding", ["raw", "png", "jpeg", "webp"])
def test_grey_stays_grey(client: FusionClient, ir: Any, encoding: str) -> None:
    (result,) = client.stream([(ir, ir)], encoding=encoding)
    assert result.image is not None
    assert result.image.shape == ir.shape


def test_frames_keep_their_numbers_and_times(client: FusionClient, ir: Any, vis: Any) -> None:
    frames = [Frame(ir, vis, 7, 1_000), Frame(ir, vis, capture_time_us=-5), Frame(ir, vis, 2**40)]
    results = list(client.stream(frames))
    assert [(r.frame_id, r.capture_time_us) for r in results] == [(7, 1_000), (8, -5), (2**40, 0)]


def test_options_hold_for_the_whole_stream(
    client: FusionClient, fuser: Fuser, picture: Any, vis: Any
) -> None:
    shift = [1.0, 0, 4, 0, 1, -3, 0, 0, 1]
    ir = picture(40, 72, dtype=np.uint16)
    results = client.stream(
        itertools.repeat((ir, vis), 2),
        homography=shift,
        ir_mapping="linear:500:30000",
        ir_polarity="black-hot",
        encoding="png",
        model="mean:1",
    )
    expected = fuser.fuse(
        ir, vis, homography=shift, ir_mapping="linear:500:30000", ir_polarity="black-hot"
    )
    for result in results:
        np.testing.assert_array_equal(result.image, expected)


def test_the_infrared_limits_are_held(
    client: FusionClient, fuser: Fuser, picture: Any, vis: Any
) -> None:
    infrared = [picture(seed=seed, dtype=np.uint16) // (1 + seed) for seed in range(4)]
    held = HeldMapping()
    for ir, result in zip(infrared, client.stream((ir, vis) for ir in infrared), strict=True):
        np.testing.assert_array_equal(result.image, fuser.fuse(held.apply(ir), vis))


@pytest.mark.parametrize("max_in_flight", [None, 1, 5])
def test_pairs_are_not_read_far_ahead(
    client: FusionClient, eventually: Any, ir: Any, vis: Any, max_in_flight: int | None
) -> None:
    pairs = Counted(ir, vis, stop=25)
    ahead = max_in_flight or DEFAULT_IN_FLIGHT
    stream = client.stream(pairs, max_in_flight=max_in_flight)
    for taken in range(1, 4):
        next(stream)
        eventually(lambda taken=taken: pairs.taken == taken + ahead)
        time.sleep(0.02)  # for one too many
        assert pairs.taken == taken + ahead
    assert len(list(stream)) == 22
    assert pairs.taken == 25


def test_leaving_the_loop_cancels_the_call(
    connect: Connect, server: FusionServer, eventually: Any, ir: Any, vis: Any
) -> None:
    ended, threads = streams_ended(server), set(threading.enumerate())
    pairs = Counted(ir, vis)
    for result in connect(server).stream(pairs):
        if result.frame_id == 4:
            eventually(lambda: pairs.taken == 5 + DEFAULT_IN_FLIGHT)
            time.sleep(0.02)  # for the reader to wait for room
            break
    eventually(lambda: streams_ended(server) == ended + 1)
    assert pairs.taken == 5 + DEFAULT_IN_FLIGHT
    # None is left that waits for room; those of the server's pool, named `call_N`, stay.
    eventually(
        lambda: all(t in threads or t.name.startswith("call_") for t in threading.enumerate())
    )


def test_an_error_of_the_pairs_comes_after_the_results_before_it(
    client: FusionClient, ir: Any, vis: Any
) -> None:
    def pairs() -> Iterator[tuple[Any, Any]]:
        yield ir, vis
        yield ir, vis
        raise KeyError("camera unplugged")

    results: list[StreamResult] = []
    with pytest.raises(KeyError, match="camera unplugged"):
        results.extend(client.stream(pairs()))
    assert [result.image is not None for result in results] == [True, True]


def test_something_else_than_pairs_is_refused(client: FusionClient, ir: Any, vis: Any) -> None:
    with pytest.raises(InvalidInput, match="pairs: got a tuple of 3; valid: Frame, or"):
        list(client.stream([(ir, vis, 1)]))  # type: ignore[list-item]
    with pytest.raises(InvalidInput, match="pairs: got a ndarray"):
        list(client.stream(vis))
    with pytest.raises(InvalidInput, match="frame_id: got -1"):
        Frame(ir, vis, -1)


def test_a_bad_frame_is_an_error_of_its_own(
    client: FusionClient, picture: Any, ir: Any, vis: Any
) -> None:
    tiny = picture(8, 8)
    frames: list[Any] = [
        (ir, vis),
        (ir.astype(float), vis),
        (ir[:40], vis),
        Frame(ir, vis, 1),
        (tiny, tiny),
        Frame(ir, vis, 9),
    ]
    results = list(client.stream(frames, max_in_flight=1))
    assert [r.frame_id for r in results] == [0, 1, 2, 1, 2, 9]
    assert [r.image is not None for r in results] == [True, False, False, False, False, True]
    messages = [str(result.error) for result in results[1:5]]
    assert messages[0].startswith("ir: got float64")
    assert messages[1].startswith("ir: got 64x40 while vis is 64x48")
    assert messages[2].startswith("frame_id: got 1 after 2")
    assert [type(r.error) for r in results[1:4]] == [InvalidInput, InvalidInput, InvalidRequest]


def test_oldest_keeps_reading_while_the_consumer_is_slow(
    connect: Connect, serve: Serve, scripted: Any, eventually: Any, picture: Any
) -> None:
    scripted.gate.set()
    ir, vis = picture(480, 640), picture(480, 640, channels=3)
    pairs = Counted(ir, vis, stop=60)
    stream = connect(serve(scripted)).stream(pairs, drop="oldest", max_in_flight=2)
    results = [next(stream)]
    eventually(lambda: pairs.taken == 60)
    results.extend(stream)
    assert [result.frame_id for result in results] == list(range(60))
    dropped = [result for result in results if result.dropped is not None]
    fused = [result for result in results if result.image is not None]
    assert len(dropped) + len(fused) == 60
    assert len(fused) == scripted.calls < 60
    assert {str(result.dropped).partition(":")[0] for result in dropped} == {"overrun"}


def test_frames_past_their_deadline_are_dropped(client: FusionClient, ir: Any, vis: Any) -> None:
    results = list(client.stream([(ir, vis)] * 3, frame_deadline=1e-6))
    assert [str(result.dropped).partition(":")[0] for result in results] == ["deadline"] * 3


def test_a_refused_stream_does_not_wait_for_the_camera(
    client: FusionClient, ir: Any, vis: Any
) -> None:
    next_frame = threading.Event()

    def camera() -> Iterator[tuple[Any, Any]]:
        next_frame.wait()
        yield ir, vis

    try:
        with pytest.raises(UnknownModel, match="valid: mean:1, mean:2"):
            list(client.stream(camera(), model="median"))
        with pytest.raises(InvalidRequest, match=r"config.max_in_flight: got 99; valid: at most 8"):
            list(client.stream(camera(), max_in_flight=99))
    finally:
        next_frame.set()


def test_a_draining_server_answers_what_it_has(
    connect: Connect, serve: Serve, scripted: Any, ir: Any, vis: Any
) -> None:
    scripted.gate.set()
    server = serve(scripted)
    results: list[StreamResult] = []
    drain = threading.Thread(target=server.drain)

    def consume() -> None:
        for result in connect(server).stream(Counted(ir, vis)):
            results.append(result)
            if len(results) == 3:
                drain.start()

    with pytest.raises(ServerNotReady, match="draining"):
        consume()
    drain.join()
    assert len(results) >= 3
    assert all(result.image is not None for result in results)
