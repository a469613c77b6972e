"""Cameras on the network: cut, stalled, slow models, servers that go away."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossfuse.engines import Engine, EngineDescription, UInt8Array
from crossfuse.fuser import Fuser
from crossfuse.video import VideoOptions, VideoSummary, fuse_streams

PATIENCE = 60.0
FAST: dict[str, Any] = {"max_wait": 0.5, "tolerance_ms": 100.0, "timeout": 2.0}


class Running:
    """fuse_streams in a thread, with what came out of it so far."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        self.stop = threading.Event()
        self.times: list[float] = []
        self.summary: VideoSummary | None = None
        self.error: BaseException | None = None

        def run() -> None:
            try:
                self.summary = fuse_streams(
                    *arguments,
                    **settings,
                    stop=self.stop,
                    on_frame=lambda pair: self.times.append(time.monotonic()),
                )
            except BaseException as error:
                self.error = error

        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def wait_for(self, frames: int) -> None:
        end = time.monotonic() + PATIENCE
        while len(self.times) < frames:
            assert self.error is None, self.error
            assert time.monotonic() < end, f"{len(self.times)} of {frames} frames"
            time.sleep(0.01)

    def finish(self) -> VideoSummary:
        self.stop.set()
        self._thread.join(PATIENCE)
        assert self.error is None, self.error
        assert self.summary is not None, "it hangs"
        return self.summary


class SlowEngine(Engine):
    """Takes its time, and gives the visible picture back."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        time.sleep(self.seconds)
        return vis

    def describe(self) -> EngineDescription:
        return EngineDescription("slow", 1, "fp32", "0" * 64, "cpu", "none", "none", 1, 32)


@pytest.mark.parametrize("decoder", ["opencv", "av"])
def test_a_camera_that_is_cut_comes_back(
    camera: Callable[..., Any], fuser: Fuser, tmp_path: Path, decoder: str
) -> None:
    if decoder == "av":
        pytest.importorskip("av")
    ir, vis = camera(), camera()
    options = VideoOptions(decoder=decoder, encoder="opencv", **FAST)
    running = Running(ir.address, vis.address, tmp_path / "out.mp4", fuser=fuser, options=options)
    running.wait_for(5)
    ir.cut.set()
    time.sleep(1.0)
    before = len(running.times)
    ir.cut.clear()
    running.wait_for(before + 10)
    summary = running.finish()
    assert summary.infrared is not None
    assert summary.infrared.reconnects >= 1
    assert summary.problems == []
    assert summary.written == summary.fused == len(running.times)
    # What the other camera saw meanwhile had no partner.
    assert sum(summary.dropped.values()) > 0


def test_a_camera_that_stays_away_is_a_problem(camera: Callable[..., Any], fuser: Fuser) -> None:
    ir, vis = camera(), camera()
    options = VideoOptions(decoder="opencv", reconnect=0.5, **FAST)
    running = Running(ir.address, vis.address, fuser=fuser, options=options)
    running.wait_for(3)
    ir.cut.set()
    end = time.monotonic() + PATIENCE
    while running.summary is None and time.monotonic() < end:
        time.sleep(0.05)
    summary = running.finish()
    assert summary.infrared is not None
    assert summary.infrared.state == "lost"
    assert any("not back within 0.5 s" in problem for problem in summary.problems)


def test_repeat_goes_on_with_the_last_frame_of_a_dead_camera(
    camera: Callable[..., Any], fuser: Fuser
) -> None:
    ir, vis = camera(), camera()
    options = VideoOptions(decoder="opencv", policy="repeat", **FAST)
    running = Running(ir.address, vis.address, fuser=fuser, options=options)
    running.wait_for(3)
    ir.cut.set()
    running.wait_for(len(running.times) + 15)
    assert running.finish().repeated >= 10


def test_a_slow_model_gets_the_latest_frames_and_the_delay_stays_bounded(
    camera: Callable[..., Any],
) -> None:
    ir, vis = camera(fps=40.0), camera(fps=40.0)
    with Fuser(SlowEngine(0.15)) as slow:
        running = Running(
            ir.address, vis.address, fuser=slow, options=VideoOptions(decoder="opencv", **FAST)
        )
        running.wait_for(15)
        summary = running.finish()
    assert summary.dropped["pair: overrun"] > 10
    # Two pairs in flight: the one being fused and the one waiting; far below the backlog of a
    # queue that keeps everything, which would have grown past a second by now.
    assert summary.delay_ms.largest is not None
    assert summary.delay_ms.largest < 1000


def test_the_output_can_be_watched_over_http(fuser: Fuser, camera: Callable[..., Any]) -> None:
    ir, vis = camera(), camera()
    options = VideoOptions(decoder="opencv", **FAST)
    shown = Running(ir.address, vis.address, "http://127.0.0.1:18573", fuser=fuser, options=options)
    shown.wait_for(2)
    # The output is a source like any other.
    again = Running(
        "http://127.0.0.1:18573", "http://127.0.0.1:18573", fuser=fuser, options=options
    )
    again.wait_for(3)
    again.finish()
    assert shown.finish().outputs == ["http://127.0.0.1:18573: motion JPEG over HTTP"]
