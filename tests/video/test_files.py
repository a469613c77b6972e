"""Two recordings into one: every pair, in order, at the right rate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.fuser import Fuser
from crossfuse.images import read_visible
from crossfuse.video import FusedPair, VideoOptions, fuse_streams


@pytest.mark.parametrize("encoder", ["opencv", "av"])
@pytest.mark.parametrize("fps", [25.0, 22.0, 30000 / 1001])
def test_one_frame_per_pair_in_order_at_the_same_rate(
    tmp_path: Path,
    fuser: Fuser,
    make_video: Callable[..., Path],
    numbers_of: Callable[[Path], list[int]],
    encoder: str,
    fps: float,
) -> None:
    if encoder == "av":
        pytest.importorskip("av")
    ir, vis = (make_video(tmp_path / f"{name}.mp4", 23, fps) for name in ("ir", "vis"))
    output = tmp_path / "fused.mp4"
    summary = fuse_streams(
        ir, vis, output, fuser=fuser, options=VideoOptions(encoder=encoder, decoder="opencv")
    )
    assert numbers_of(output) == list(range(23))
    assert (summary.pairs, summary.fused, summary.written, summary.failed) == (23, 23, 23, 0)
    assert summary.problems == []
    assert summary.dropped == {}
    capture = cv2.VideoCapture(str(output))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(fps, rel=1e-4)
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 23
    assert summary.duration == pytest.approx(23 / fps, rel=1e-3)


def test_both_decoders_give_the_same_pairs(
    tmp_path: Path,
    fuser: Fuser,
    make_video: Callable[..., Path],
    number: Callable[[NDArray[np.uint8]], int],
) -> None:
    pytest.importorskip("av")
    ir, vis = (make_video(tmp_path / f"{name}.mp4") for name in ("ir", "vis"))
    for decoder in ("av", "opencv"):
        seen: list[int] = []

        def keep(pair: FusedPair, seen: list[int] = seen) -> None:
            seen.append(number(pair.fused))

        fuse_streams(ir, vis, fuser=fuser, options=VideoOptions(decoder=decoder), on_frame=keep)
        assert seen == list(range(20)), decoder


def test_folders_go_in_natural_order_and_out_lossless(
    tmp_path: Path, fuser: Fuser, make_folder: Callable[..., Path]
) -> None:
    ir, vis = make_folder(tmp_path / "ir"), make_folder(tmp_path / "vis")
    fuse_streams(ir, vis, tmp_path / "fused", fuser=fuser)
    written = sorted((tmp_path / "fused").iterdir())
    assert [path.name for path in written] == [f"{number:06d}.png" for number in range(12)]
    levels = [read_visible(path).flat[0] for path in written]
    assert levels == [8 + 8 * number for number in range(12)]


def test_16_bit_infrared_is_mapped_with_limits_held_over_time(
    tmp_path: Path, fuser: Fuser, make_folder: Callable[..., Path]
) -> None:
    ir = make_folder(tmp_path / "ir", dtype="uint16")
    vis = make_folder(tmp_path / "vis")
    means: list[float] = []
    fuse_streams(
        ir, vis, fuser=fuser, on_frame=lambda pair: means.append(float(pair.pair.ir.mean()))
    )
    # Each frame alone would be stretched to the same mean; held limits keep them rising.
    assert np.all(np.diff(means) >= 0)
    assert means[-1] > means[0] + 50


def test_different_rates_keep_the_faster_one_when_frames_are_repeated(
    tmp_path: Path, fuser: Fuser, make_video: Callable[..., Path]
) -> None:
    ir = make_video(tmp_path / "ir.mp4", 9, 10.0)
    vis = make_video(tmp_path / "vis.mp4", 27, 30.0)
    output = tmp_path / "fused.mp4"
    summary = fuse_streams(
        ir, vis, output, fuser=fuser, options=VideoOptions(policy="repeat", tolerance_ms=5)
    )
    assert summary.written == 27
    assert summary.repeated == 18
    assert summary.duration == pytest.approx(0.9, abs=0.04)


def test_different_rates_fuse_only_true_pairs_when_frames_are_dropped(
    tmp_path: Path, fuser: Fuser, make_video: Callable[..., Path]
) -> None:
    ir = make_video(tmp_path / "ir.mp4", 9, 10.0)
    vis = make_video(tmp_path / "vis.mp4", 27, 30.0)
    summary = fuse_streams(
        ir, vis, fuser=fuser, options=VideoOptions(policy="drop", tolerance_ms=5)
    )
    assert summary.fused == 9
    assert summary.dropped["visible: unpaired"] >= 16
    assert summary.fps == 10.0


def test_an_offset_pairs_the_frames_of_one_moment(
    tmp_path: Path,
    fuser: Fuser,
    make_video: Callable[..., Path],
    number: Callable[[NDArray[np.uint8]], int],
) -> None:
    ir = make_video(tmp_path / "ir.mp4", 20, 25.0, first=3)  # started three frames later
    vis = make_video(tmp_path / "vis.mp4", 20, 25.0)
    gaps: list[int] = []
    summary = fuse_streams(
        ir,
        vis,
        fuser=fuser,
        options=VideoOptions(offset_ms=120),
        on_frame=lambda pair: gaps.append(number(pair.pair.ir) - number(pair.pair.vis)),
    )
    assert summary.fused == 17
    assert set(gaps) == {0}
    assert summary.dropped["visible: unpaired"] == 3


def test_the_shorter_source_ends_the_output(
    tmp_path: Path, fuser: Fuser, make_video: Callable[..., Path]
) -> None:
    ir, vis = make_video(tmp_path / "ir.mp4", 10), make_video(tmp_path / "vis.mp4", 20)
    assert fuse_streams(ir, vis, fuser=fuser).fused == 10
    repeated = fuse_streams(ir, vis, fuser=fuser, options=VideoOptions(policy="repeat"))
    assert (repeated.fused, repeated.repeated) == (20, 10)


def test_sources_of_different_sizes_need_a_rig(
    tmp_path: Path, fuser: Fuser, make_video: Callable[..., Path]
) -> None:
    ir = make_video(tmp_path / "ir.mp4", 3, width=96)
    vis = make_video(tmp_path / "vis.mp4", 3)
    with pytest.raises(InvalidInput, match=r"96x48 while vis is 64x48; valid: .*--rig"):
        fuse_streams(ir, vis, fuser=fuser)


def test_side_by_side_with_overlay(
    tmp_path: Path, fuser: Fuser, make_video: Callable[..., Path]
) -> None:
    ir, vis = (make_video(tmp_path / f"{name}.mp4", 6) for name in ("ir", "vis"))
    options = VideoOptions(layout="side-by-side", overlay=True)
    summary = fuse_streams(ir, vis, tmp_path / "out.mp4", fuser=fuser, options=options)
    assert summary.size == (192, 48)
