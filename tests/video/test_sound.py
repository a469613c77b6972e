"""The sound of the visible file: every sample of it, at its place, or a word about why not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossfuse.fuser import Fuser
from crossfuse.video import VideoOptions, fuse_streams

av = pytest.importorskip("av")

FRAMES = 25
FPS = 25
RATE = 48_000
CLICK_AT = 0.5


def film(path: Path, codec: str | None, *, late: int = 0) -> Path:
    """A second of 64x48 pictures, and of a tone that is loud for 20 ms from CLICK_AT.

    late: frames by which the pictures begin after the sound.
    """
    tone = 300 * np.sin(np.arange(RATE) * 0.05)
    click = slice(round(CLICK_AT * RATE), round((CLICK_AT + 0.02) * RATE))
    tone[click] *= 60
    with av.open(str(path), "w") as container:
        pictures = container.add_stream("mpeg4", rate=FPS)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        sound = None
        if codec is not None:
            sound = container.add_stream(codec, rate=RATE)
            sound.layout = "mono"
        for number in range(FRAMES):
            picture = np.full((48, 64, 3), 8 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number + late, Fraction(1, FPS)
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
        if sound is not None:
            samples = av.AudioFrame.from_ndarray(tone.astype(np.int16)[None], "s16", "mono")
            samples.sample_rate, samples.pts, samples.time_base = RATE, 0, Fraction(1, RATE)
            pieces = av.AudioResampler(
                format=sound.format, layout="mono", rate=RATE, frame_size=sound.frame_size or 1024
            )
            for piece in [*pieces.resample(samples), *pieces.resample(None)]:
                container.mux(sound.encode(piece))
            container.mux(sound.encode(None))
    return path


def heard(path: Path) -> dict[str, Any]:
    """Codec, length, samples, and when the loudest one is heard, after the first picture."""
    with av.open(str(path)) as container:
        sound, pictures = container.streams.audio[0], container.streams.video[0]
        begins = float(pictures.start_time * pictures.time_base)
        codec, seconds = sound.codec_context.name, float(sound.duration * sound.time_base)
        frames = list(container.decode(sound))
    levels = np.concatenate([np.abs(frame.to_ndarray().astype(np.float64)[0]) for frame in frames])
    times = np.concatenate(
        [frame.time + np.arange(frame.samples) / frame.sample_rate for frame in frames]
    )
    loud = times[levels > levels.max() / 3]
    return {"codec": codec, "seconds": seconds, "samples": len(levels), "at": loud[0] - begins}


@pytest.mark.parametrize("codec", ["aac", "mp3", "pcm_s16le"])
def test_every_sample_is_copied(tmp_path: Path, fuser: Fuser, codec: str) -> None:
    vis = film(tmp_path / ("vis.mov" if codec == "pcm_s16le" else "vis.mp4"), codec)
    output = tmp_path / "out.mp4"
    summary = fuse_streams(vis, vis, output, fuser=fuser)
    assert (summary.problems, summary.written) == ([], FRAMES)
    assert summary.outputs[0].endswith("sound of the visible source copied")
    before, after = heard(vis), heard(output)
    assert (after["codec"], after["samples"]) == (before["codec"], before["samples"])
    assert after["seconds"] == pytest.approx(before["seconds"], abs=0.01)
    assert after["at"] == pytest.approx(before["at"], abs=0.002)
    with av.open(str(output)) as container:
        pictures = container.streams.video[0]
        assert float(pictures.duration * pictures.time_base) == pytest.approx(FRAMES / FPS)


@pytest.mark.parametrize(("late", "offset"), [(5, 0.0), (0, 200.0)])
def test_the_sound_stays_with_its_pictures(
    tmp_path: Path, fuser: Fuser, late: int, offset: float
) -> None:
    """The pictures begin after the sound; the first pictures have no infrared partner."""
    vis = film(tmp_path / "vis.mp4", "aac", late=late)
    ir = film(tmp_path / "ir.mp4", None)
    output = tmp_path / "out.mp4"
    first: list[int] = []
    summary = fuse_streams(
        ir,
        vis,
        output,
        fuser=fuser,
        options=VideoOptions(offset_ms=offset),
        on_frame=lambda pair: first.append(pair.pair.position),
    )
    skipped = first[0] / 1e6
    assert skipped == pytest.approx(offset / 1e3)
    assert summary.written == FRAMES - round(skipped * FPS)
    assert heard(vis)["at"] == pytest.approx(CLICK_AT - late / FPS, abs=0.025)
    assert heard(output)["at"] == pytest.approx(heard(vis)["at"] - skipped, abs=0.002)


@pytest.mark.parametrize(
    ("options", "codec", "ends"),
    [
        ({}, "adpcm_ima_wav", "without the sound of the visible source"),
        ({}, None, "H.264 (libx264)"),
        ({"sound": False}, "pcm_s16le", "H.264 (libx264)"),
        ({"encoder": "opencv"}, "pcm_s16le", "mpeg4 (OpenCV)"),
    ],
)
def test_without_sound_the_pictures_are_the_same(
    tmp_path: Path,
    fuser: Fuser,
    options: dict[str, Any],
    codec: str | None,
    ends: str,
) -> None:
    vis = film(tmp_path / "vis.avi", codec)
    output = tmp_path / "out.mp4"
    summary = fuse_streams(vis, vis, output, fuser=fuser, options=VideoOptions(**options))
    assert (summary.problems, summary.written) == ([], FRAMES)
    assert ends in summary.outputs[0]
    with av.open(str(output)) as container:
        assert len(container.streams.audio) == 0
        assert sum(1 for _ in container.decode(video=0)) == FRAMES


def test_the_sound_ends_with_the_pictures(tmp_path: Path, fuser: Fuser) -> None:
    vis = film(tmp_path / "vis.mp4", "aac")
    output = tmp_path / "out.mp4"
    summary = fuse_streams(vis, vis, output, fuser=fuser, options=VideoOptions(max_frames=10))
    assert summary.problems == []
    assert heard(output)["seconds"] == pytest.approx(10 / FPS, abs=0.03)
