"""Where the time of a pair goes: no moment is lost, none counts twice, and waits count as waits."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.gate import Claim, Gate
from crossfuse_server.timeline import DECODE, ENCODE, INFER, QUEUE, Timeline

Serve = Callable[..., Any]
PHASES = st.sampled_from([DECODE, QUEUE, INFER, ENCODE])


@given(st.lists(st.tuples(PHASES, st.floats(0, 10)), max_size=12))
def test_the_phases_tile_the_time(steps: list[tuple[str, float]]) -> None:
    timeline, now = Timeline(100.0), 100.0
    for phase, pause in steps:
        now += pause
        timeline.enter(phase, now)
    segments = list(timeline.segments())
    assert all(start <= end for _, start, end in segments)
    assert [end for *_, end in segments[:-1]] == [start for _, start, _ in segments[1:]]
    assert sum(timeline.spent().values()) == pytest.approx(now - 100.0)


def test_a_closed_timeline_stays_as_it_is() -> None:
    timeline = Timeline(1.0)
    timeline.close()
    before = list(timeline.segments())
    timeline.close()
    timeline.enter(DECODE)
    timeline.enter(QUEUE)
    assert list(timeline.segments()) == before


def parts_of(timings: pb.Timings) -> int:
    return int(timings.decode_us + timings.queue_us + timings.infer_us + timings.encode_us)


def test_the_phases_of_a_call_sum_to_what_the_call_took(server: Any, make: Any) -> None:
    image = make.png(make.ir(256, 256)), make.png(make.vis(256, 256))
    options = pb.FuseOptions(output_encoding=pb.ENCODING_PNG)
    for _ in range(3):
        request = make.request(*image, options=options)
        started = time.monotonic()
        timings = server.fuse(request).timings
        took = (time.monotonic() - started) * 1e6
        assert 0.95 * timings.total_us <= parts_of(timings) <= 1.05 * timings.total_us
        assert timings.total_us <= took
        assert min(timings.decode_us, timings.infer_us, timings.encode_us) > 0


def test_the_phases_of_frames_sum_to_what_they_took(server: Any, make: Any) -> None:
    ir, vis = make.png(make.ir(256, 256)), make.png(make.vis(256, 256))
    stream = server.stream(max_in_flight=4)
    started = time.monotonic()
    for number in range(6):
        stream.frame(number, ir, vis)
    stream.half_close()
    answers, _ = stream.rest()
    took = (time.monotonic() - started) * 1e6
    assert len(answers) == 6
    for answer in answers:
        timings = answer.fused.timings
        assert 0.95 * timings.total_us <= parts_of(timings) <= 1.05 * timings.total_us
        assert timings.total_us <= took


def test_the_wait_for_a_decoder_is_a_wait(server: Any, make: Any) -> None:
    gate: Gate = server.server.servicer._gate
    with ExitStack() as places:
        while gate._free:
            places.enter_context(gate.place(Claim("test"), Timeline(), DECODE))
        call = server.stub.Fuse.future(make.request())
        time.sleep(0.3)
    timings = call.result().timings
    assert timings.queue_us > 100_000
    assert timings.decode_us < timings.queue_us


def test_the_wait_for_an_engine_is_a_wait(
    serve: Serve, gated: Any, make: Any, eventually: Callable[..., None]
) -> None:
    running = serve(gated)
    first = running.stub.Fuse.future(make.request())
    gated.wait_for_picture()
    second = running.stub.Fuse.future(make.request())
    eventually(lambda: running.waiting == 1)
    time.sleep(0.2)
    gated.let_through()
    ran, waited = first.result().timings, second.result().timings
    assert ran.infer_us >= 200_000
    assert waited.queue_us >= 200_000


def test_the_wait_of_a_frame_behind_others_is_a_wait(serve: Serve, gated: Any, make: Any) -> None:
    running = serve(gated)
    stream = running.stream(max_in_flight=8)
    for number in range(6):
        stream.frame(number, make.raw(make.ir()), make.raw(make.vis()))
    gated.wait_for_picture()
    time.sleep(0.2)
    gated.let_through()
    stream.half_close()
    answers, _ = stream.rest()
    last = answers[-1].fused.timings
    assert last.queue_us >= 100_000
    assert parts_of(last) == last.total_us
