"""Recordings whose clock jumps, through the whole client: no pair is lost, the result is even."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.fuser import Fuser
from crossfuse.video import VideoOptions, fuse_streams

av = pytest.importorskip("av")

FRAMES = 24
INTERVAL = 0.04


@pytest.fixture
def film(tmp_path: Path, picture: Callable[[int], NDArray[np.uint8]]) -> Callable[..., Path]:
    """Writes numbered pictures that are shown at given times, in seconds."""

    def write(name: str, times: list[float], *, first: int = 0) -> Path:
        with av.open(str(tmp_path / name), "w") as container:
            stream = container.add_stream("mpeg4", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.codec_context.time_base = Fraction(1, 1000)
            for number, time in enumerate(times, start=first):
                frame = av.VideoFrame.from_ndarray(picture(number), format="gray")
                frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return tmp_path / name

    return write


@pytest.fixture
def recordings(film: Callable[..., Path]) -> dict[str, Path]:
    """One with an even clock, one whose clock jumps an hour ahead, and one whose begins anew."""
    times = [number * INTERVAL for number in range(FRAMES)]
    half = FRAMES // 2
    parts = [film(f"{first}.ts", times[:half], first=first) for first in (0, half)]
    back = parts[0].with_name("back.ts")
    back.write_bytes(parts[0].read_bytes() + parts[1].read_bytes())
    later = [time + 3600 * (number >= half) for number, time in enumerate(times)]
    return {"even": film("even.mkv", times), "ahead": film("ahead.mkv", later), "back": back}


@pytest.mark.parametrize("decoder", ["opencv", "av"])
@pytest.mark.parametrize(
    ("ir", "vis"), [("ahead", "even"), ("even", "ahead"), ("back", "even"), ("even", "back")]
)
def test_a_clock_that_jumps_is_put_right(
    tmp_path: Path,
    fuser: Fuser,
    recordings: dict[str, Path],
    numbers_of: Callable[[Path], list[int]],
    decoder: str,
    ir: str,
    vis: str,
) -> None:
    output = tmp_path / "out.mp4"
    positions: list[int] = []
    summary = fuse_streams(
        recordings[ir],
        recordings[vis],
        output,
        fuser=fuser,
        options=VideoOptions(decoder=decoder),
        on_frame=lambda pair: positions.append(pair.pair.position),
    )
    assert (summary.problems, summary.dropped) == ([], {})
    assert numbers_of(output) == list(range(FRAMES))
    assert np.diff(positions).tolist() == [40_000] * (FRAMES - 1)
    assert summary.duration == pytest.approx(FRAMES * INTERVAL)
    assert summary.infrared is not None
    assert summary.visible is not None
    assert summary.infrared.clock_jumps == (ir != "even")
    assert summary.visible.clock_jumps == (vis != "even")


def test_two_clocks_that_jump_at_different_frames(
    tmp_path: Path, fuser: Fuser, film: Callable[..., Path]
) -> None:
    def recording(name: str, jump: int) -> Path:
        times = [n * INTERVAL + (3600 if n >= jump else 0) for n in range(FRAMES)]
        return film(name, times)

    summary = fuse_streams(recording("ir.mkv", 5), recording("vis.mkv", 15), fuser=fuser)
    assert (summary.fused, summary.problems, summary.dropped) == (FRAMES, [], {})
    assert summary.pairing_error_ms.largest == 0
