"""Cameras on the network: cut, stalled, slow models, servers that go away."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossfuse.arrays import UInt8Array
from crossfuse.engines import Engine, EngineDescription
from crossfuse.fuser import Fuser
from crossfuse.video import VideoOptions

FAST: dict[str, Any] = {"max_wait": 0.5, "tolerance_ms": 100.0, "timeout": 10.0}


class SlowEngine(Engine):
    """Takes its time, and gives the visible picture back."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        time.sleep(self.seconds)
        return vis

    def describe(self) -> EngineDescription:
        return EngineDescription("slow", 1, "fp32", "0" * 64, "cpu", "none", "none", 1, 32)


@pytest.fixture(params=["opencv", "av"])
def decoder(request: pytest.FixtureRequest) -> str:
    """Either of the two."""
    if request.param == "av":
        pytest.importorskip("av")
    return str(request.param)


@pytest.fixture
def filming(
    camera: Callable[..., Any],
    running: Callable[..., Any],
    fuser: Fuser,
    tmp_path: Path,
    decoder: str,
) -> tuple[Any, Any]:
    """The infrared one of two cameras, and the run of both, which has begun to fuse."""
    ir, vis = camera(), camera()
    options = VideoOptions(decoder=decoder, encoder="opencv", **FAST)
    run = running(ir.address, vis.address, tmp_path / "out.mp4", fuser=fuser, options=options)
    run.wait_for(5)
    return ir, run


def test_a_camera_that_is_cut_for_three_seconds_comes_back(filming: tuple[Any, Any]) -> None:
    ir, run = filming
    ir.cut.set()
    time.sleep(3.0)
    before = len(run.positions)
    ir.cut.clear()
    run.wait_for(before + 10)
    summary = run.finish()
    assert summary.infrared.reconnects >= 1
    assert summary.problems == []
    assert summary.written == summary.fused == len(run.positions)
    # The gap stays in the times: what comes after it is not older than it is.
    assert run.positions[before] - run.positions[before - 1] > 2_000_000
    assert run.positions == sorted(set(run.positions))
    assert summary.delay_ms.largest < 2000
    # What the other camera saw meanwhile had no partner.
    assert sum(summary.dropped.values()) > 0


def test_corrupt_frames_of_a_camera_are_left_out_and_counted(filming: tuple[Any, Any]) -> None:
    ir, run = filming
    whole, ir.encode = ir.encode, lambda picture: b"no picture at all"
    until = ir.sent + 6
    while ir.sent < until:
        time.sleep(0.01)
    ir.encode = whole
    run.wait_for_more(15)
    summary = run.finish()
    assert 5 <= summary.infrared.corrupt <= 8
    assert "cannot be decoded" in summary.infrared.problem
    assert (summary.infrared.reconnects, summary.problems) == (0, [])


def test_a_camera_that_changes_its_size_is_brought_back_or_left_out(
    filming: tuple[Any, Any], decoder: str
) -> None:
    ir, run = filming
    small = ir.encode
    ir.encode = lambda picture: small(np.tile(picture, (2, 2)))
    until = ir.sent + 10
    while ir.sent < until:
        time.sleep(0.01)
    ir.encode = small
    run.wait_for_more(15)
    summary = run.finish()
    assert (summary.size, summary.problems) == ((64, 48), [])
    if decoder == "av":
        assert 8 <= summary.infrared.wrong_size <= 12
        assert "128x96; valid: 64x48" in summary.infrared.problem
    else:  # OpenCV scales to the size it began with
        assert summary.infrared.wrong_size == 0


def test_ctrl_c_while_a_camera_is_away_ends_the_work(
    camera: Callable[..., Any], running: Callable[..., Any], fuser: Fuser, tmp_path: Path
) -> None:
    ir, vis = camera(), camera()
    options = VideoOptions(encoder="opencv", **FAST)
    run = running(ir.address, vis.address, tmp_path / "out.mp4", fuser=fuser, options=options)
    run.wait_for(5)
    ir.cut.set()
    vis.cut.set()
    time.sleep(0.5)
    summary = run.finish()
    assert summary.interrupted
    assert summary.written == len(run.positions)


def test_a_camera_that_stays_away_is_a_problem(
    camera: Callable[..., Any], running: Callable[..., Any], fuser: Fuser
) -> None:
    ir, vis = camera(), camera()
    options = VideoOptions(decoder="opencv", reconnect=0.5, **FAST)
    run = running(ir.address, vis.address, fuser=fuser, options=options)
    run.wait_for(3)
    ir.cut.set()
    summary = run.wait_for_the_end()
    assert summary.infrared.state == "lost"
    assert any("not back within 0.5 s" in problem for problem in summary.problems)


def test_repeat_goes_on_with_the_last_frame_of_a_dead_camera(
    camera: Callable[..., Any], running: Callable[..., Any], fuser: Fuser
) -> None:
    ir, vis = camera(), camera()
    options = VideoOptions(decoder="opencv", policy="repeat", **FAST)
    run = running(ir.address, vis.address, fuser=fuser, options=options)
    run.wait_for(3)
    ir.cut.set()
    run.wait_for_more(15)
    assert run.finish().repeated >= 10


def test_a_slow_model_gets_the_latest_frames_and_the_delay_stays_bounded(
    camera: Callable[..., Any], running: Callable[..., Any]
) -> None:
    ir, vis = camera(fps=40.0), camera(fps=40.0)
    with Fuser(SlowEngine(0.15)) as slow:
        run = running(
            ir.address, vis.address, fuser=slow, options=VideoOptions(decoder="opencv", **FAST)
        )
        run.wait_for(15)
        summary = run.finish()
    assert summary.dropped["pair: overrun"] > 10
    # Two pairs in flight: the one being fused and the one waiting; far below the backlog of a
    # queue that keeps everything, which would have grown past a second by now.
    assert summary.delay_ms.largest is not None
    assert summary.delay_ms.largest < 2000


def test_the_output_can_be_watched_over_http(
    camera: Callable[..., Any], running: Callable[..., Any], fuser: Fuser
) -> None:
    ir, vis = camera(), camera()
    options = VideoOptions(decoder="opencv", **FAST)
    shown = running(ir.address, vis.address, "http://127.0.0.1:18573", fuser=fuser, options=options)
    shown.wait_for(2)
    # The output is a source like any other.
    again = running(
        "http://127.0.0.1:18573", "http://127.0.0.1:18573", fuser=fuser, options=options
    )
    again.wait_for(3)
    again.finish()
    assert shown.finish().outputs == ["http://127.0.0.1:18573: motion JPEG over HTTP"]
