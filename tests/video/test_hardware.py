"""Decoding in hardware where there is any, without it where there is none, and a word about it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from crossfuse.fuser import Fuser
from crossfuse.video import VideoOptions, fuse_streams
from crossfuse.video.hardware import first_device


def fused_with(
    decoder: str, tmp_path: Path, fuser: Fuser, make_video: Callable[..., Path]
) -> tuple[str, str]:
    """What the summary says of the decoders of two videos that were fused."""
    ir, vis = (make_video(tmp_path / f"{name}.mp4") for name in ("ir", "vis"))
    summary = fuse_streams(
        ir, vis, fuser=fuser, options=VideoOptions(decoder=decoder, hardware=True)
    )
    assert (summary.fused, summary.problems) == (20, [])
    assert summary.infrared is not None
    assert summary.visible is not None
    return summary.infrared.decoder, summary.visible.decoder


@pytest.mark.parametrize(("decoder", "name"), [("opencv", "OpenCV"), ("av", "PyAV")])
def test_hardware_is_taken_where_it_is_and_named(
    tmp_path: Path,
    fuser: Fuser,
    make_video: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
    decoder: str,
    name: str,
) -> None:
    if decoder == "av":
        pytest.importorskip("av")
    with caplog.at_level(logging.WARNING):
        used = fused_with(decoder, tmp_path, fuser, make_video)
    for decoded_by in used:
        library, _, device = decoded_by.partition(", ")
        assert library == name
        # Either a device decodes, or it is said that none does.
        assert bool(device) != ("decoding in software" in caplog.text)


def test_a_device_that_ffmpeg_knows_and_the_machine_lacks_is_no_error(
    tmp_path: Path,
    fuser: Fuser,
    make_video: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pytest.importorskip("av")
    known = ["vdpau", "no such kind"]
    monkeypatch.setattr("av.codec.hwaccel.hwdevices_available", lambda: known)
    assert first_device() is None
    assert fused_with("av", tmp_path, fuser, make_video) == ("PyAV", "PyAV")
    assert caplog.text.count("no hardware decoder takes it; decoding in software") == 2


def test_without_asking_nobody_looks_for_hardware(
    tmp_path: Path, fuser: Fuser, make_video: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    ir, vis = (make_video(tmp_path / f"{name}.mp4") for name in ("ir", "vis"))
    summary = fuse_streams(ir, vis, fuser=fuser)
    assert summary.visible is not None
    assert summary.visible.decoder in ("PyAV", "OpenCV")
    assert caplog.text == ""
