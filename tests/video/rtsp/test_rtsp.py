"""RTSP cameras and servers: over TCP, from the newest frame on, given up in time, found again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.fuser import Fuser
from crossfuse.video import VideoOptions, fuse_streams, rtsp_sink
from crossfuse.video.sources import SourceOptions, open_source

OPTIONS: dict[str, Any] = {"max_wait": 0.5, "tolerance_ms": 100.0, "timeout": 2.5}


@pytest.fixture(params=["opencv", "av"])
def decoder(request: pytest.FixtureRequest) -> str:
    """Each of the two, where it is installed."""
    if request.param == "av":
        pytest.importorskip("av")
    return str(request.param)


def test_a_camera_is_read_over_tcp_from_the_newest_frame_on(
    rtsp: Callable[..., Any], number: Callable[[NDArray[np.uint8]], int], decoder: str
) -> None:
    camera = rtsp()
    options = SourceOptions(decoder=decoder, timeout=10.0)
    source = open_source(camera.address, infrared=True, options=options)
    try:
        assert source.info.live
        before = camera.sent
        frames = [source.read() for _ in range(15)]
    finally:
        source.close()
    assert camera.transports == ["rtp/avp/tcp;unicast;interleaved=0-1"]
    pixels = [np.asarray(frame.pixels, np.uint8) for frame in frames if frame is not None]
    numbers = [number(picture) for picture in pixels]
    # What was sent while the stream was examined has passed, and is not shown afterwards.
    assert before > 8
    assert (before - numbers[0] + 8) % 28 - 8 <= before // 2
    assert numbers == [(numbers[0] + step) % 28 for step in range(15)]


@pytest.mark.parametrize(("decoder", "way"), [("opencv", "silent"), ("av", "cut")])
def test_a_camera_that_is_lost_comes_back(
    rtsp: Callable[..., Any],
    running: Callable[..., Any],
    fuser: Fuser,
    tmp_path: Path,
    decoder: str,
    way: str,
) -> None:
    if decoder == "av":
        pytest.importorskip("av")
    ir, vis = rtsp(), rtsp()
    options = VideoOptions(decoder=decoder, encoder="opencv", **OPTIONS)
    run = running(ir.address, vis.address, tmp_path / "out.mp4", fuser=fuser, options=options)
    run.wait_for(5)
    away = getattr(ir, way)
    away.set()
    time.sleep(OPTIONS["timeout"] + 0.5)
    away.clear()
    run.wait_for_more(10)
    summary = run.finish()
    assert summary.infrared.reconnects >= 1
    assert summary.problems == []
    assert summary.written == summary.fused == len(run.positions)
    assert run.positions == sorted(set(run.positions))
    # Frames of the camera that stayed had no partner meanwhile: nothing was kept to be late.
    assert summary.delay_ms.largest < 2000


def test_a_camera_that_says_nothing_is_given_up_in_time(
    rtsp: Callable[..., Any], decoder: str
) -> None:
    camera = rtsp()
    camera.silent.set()
    login = f"rtsp://user:secret@{camera.place}"
    with pytest.raises(InvalidInput, match="cannot be opened") as raised:
        open_source(login, infrared=False, options=SourceOptions(decoder=decoder, timeout=0.5))
    assert f"rtsp://***@{camera.place}" in str(raised.value)
    assert "secret" not in str(raised.value)


def test_the_output_is_sent_to_a_server_and_plays_from_there(
    rtsp: Callable[..., Any],
    camera: Callable[..., Any],
    running: Callable[..., Any],
    fuser: Fuser,
) -> None:
    pytest.importorskip("av")
    ir, vis, relay = camera(), camera(), rtsp(relay=True)
    options = VideoOptions(**OPTIONS)
    shown = running(ir.address, vis.address, relay.address, fuser=fuser, options=options)
    shown.wait_for(5)
    again = running(relay.address, relay.address, fuser=fuser, options=options)
    again.wait_for(5)
    assert again.finish().problems == []
    summary = shown.finish()
    assert summary.problems == []
    assert summary.outputs == [f"{relay.address}: H.264 (libx264)"]
    assert all("tcp" in transport for transport in relay.transports)


@pytest.mark.parametrize(("listening", "reason"), [(False, "refused"), (True, "nothing for 1 s")])
def test_a_server_that_does_not_take_the_output_is_a_problem(
    rtsp: Callable[..., Any],
    make_video: Callable[..., Path],
    tmp_path: Path,
    fuser: Fuser,
    monkeypatch: pytest.MonkeyPatch,
    listening: bool,
    reason: str,
) -> None:
    pytest.importorskip("av")
    if listening:
        monkeypatch.setattr(rtsp_sink, "TIMEOUT", 1.0)
    ir, server = make_video(tmp_path / "ir.mp4", 3), rtsp()
    server.silent.set()
    if not listening:
        server.close()
    summary = fuse_streams(ir, ir, f"rtsp://user:secret@{server.place}", fuser=fuser)
    (problem,) = summary.problems
    assert problem.startswith(f"rtsp://***@{server.place}: could not be sent to")
    assert reason in problem
