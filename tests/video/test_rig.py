"""The rig file, and infrared brought into the frame of the visible picture by it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from crossfuse.errors import InvalidInput
from crossfuse.fuser import Fuser
from crossfuse.video import Rig, RigAligner, RigQuality, VideoOptions, fuse_streams, read_rig
from crossfuse.video.rig import largest_box

QUALITY = RigQuality("points", 0.5, 20, 0.95, 3.0)


def make_rig(matrix: list[float], **changes: Any) -> Rig:
    fields: dict[str, Any] = {
        "ir_size": (64, 48),
        "vis_size": (64, 48),
        "homography": np.array(matrix, np.float64).reshape(3, 3),
        "time_offset_ms": 120.0,
        "created": "2026-11-21T00:00:00+00:00",
        "quality": QUALITY,
    }
    return Rig(**{**fields, **changes})


def test_a_rig_survives_its_file(tmp_path: Path) -> None:
    rig = make_rig([1.1, 0.01, -3, -0.02, 1.05, 2, 1e-5, 0, 1], ir_size=(80, 60))
    rig.write(tmp_path / "rig.json")
    again = read_rig(tmp_path / "rig.json")
    np.testing.assert_array_equal(again.homography, rig.homography)
    assert (again.ir_size, again.vis_size) == ((80, 60), (64, 48))
    assert (again.time_offset_ms, again.quality) == (120.0, QUALITY)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version"),
        ({"homography": [1, 0, 0]}, "homography"),
        ({"homography": [0] * 9}, "infinity|area"),
        ({"homography": [1, 0, 900, 0, 1, 0, 0, 0, 1]}, "overlap"),
        ({"surprise": 1}, "surprise|properties"),
        ({"ir_size": [64, "48"]}, r"got '48'; valid: rig.ir_size\[1\] must be integer"),
        ({"time_offset_ms": float("nan")}, "NaN is no number"),
        ({"time_offset_ms": 1e7}, "got 10000000.0; valid: rig.time_offset_ms must be smaller"),
    ],
)
def test_a_rig_file_that_is_wrong_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    path = tmp_path / "rig.json"
    document = json.loads(make_rig([1, 0, 0, 0, 1, 0, 0, 0, 1]).to_json())
    path.write_text(json.dumps({**document, **change}), encoding="utf-8")
    with pytest.raises(InvalidInput, match=message):
        read_rig(path)


def test_a_rig_file_as_other_programs_write_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "rig.json"
    document = json.loads(make_rig([1, 0, 0, 0, 1, 0, 0, 0, 1]).to_json())
    path.write_text(json.dumps({**document, "ir_size": [64.0, 48.0]}), encoding="utf-8")
    assert read_rig(path).ir_size == (64, 48)
    with pytest.raises(InvalidInput, match="valid: a rig file that can be read"):
        read_rig(tmp_path / "none.json")
    path.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(InvalidInput, match="no JSON"):
        read_rig(path)


def test_a_crop_to_nothing_is_refused() -> None:
    rig = make_rig([0.06, 0, 20, 0, 0.06, 10, 0, 0, 1])
    with pytest.raises(InvalidInput, match="crop: got a rig with no part of the picture that both"):
        RigAligner(rig, crop=True)


def test_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rig.json").write_text("{", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"no JSON .* valid: a rig file"):
        read_rig(tmp_path / "rig.json")


def test_outside_of_the_infrared_picture_is_the_visible_one_without_a_border() -> None:
    rig = make_rig([0.5, 0, 16, 0, 0.5, 12, 0, 0, 1])
    ir, vis = np.full((48, 64), 200, np.uint8), np.full((48, 64, 3), 100, np.uint8)
    aligned, _ = RigAligner(rig, crop=False).align(ir, vis)
    assert aligned[2, 2] == 100
    assert aligned[24, 32] == 200
    # From one to the other it takes several pixels.
    assert np.abs(np.diff(aligned.astype(int), axis=1)).max() < 40


def test_crop_keeps_what_both_see() -> None:
    rig = make_rig([0.5, 0, 16, 0, 0.5, 12, 0, 0, 1])
    aligner = RigAligner(rig, crop=True)
    ir, vis = np.full((48, 64), 200, np.uint8), np.full((48, 64, 3), 100, np.uint8)
    aligned, cropped = aligner.align(ir, vis)
    assert aligned.shape == cropped.shape[:2]
    assert aligned.min() == 200
    assert aligned.shape[0] % 2 == aligned.shape[1] % 2 == 0
    assert aligned.size > 100


def test_the_largest_box() -> None:
    inside = np.zeros((40, 60), bool)
    inside[8:32, 4:52] = True
    inside[20:24, 40:44] = False
    assert largest_box(inside) == (4, 8, 36, 24)


def test_the_rig_brings_size_and_offset_into_a_video(
    tmp_path: Path, fuser: Fuser, make_video: Callable[..., Path]
) -> None:
    ir = make_video(tmp_path / "ir.mp4", 20, width=96, first=3)
    vis = make_video(tmp_path / "vis.mp4", 20)
    rig = make_rig([64 / 96, 0, 0, 0, 1, 0, 0, 0, 1], ir_size=(96, 48))
    summary = fuse_streams(ir, vis, fuser=fuser, rig=rig)
    assert summary.fused == 17  # three frames of 40 ms
    assert summary.problems == []
    with pytest.raises(InvalidInput, match=r"64x48; valid: 96x48, the size the rig"):
        fuse_streams(vis, vis, fuser=fuser, rig=rig)
    with pytest.raises(InvalidInput, match="crop: got no rig"):
        fuse_streams(vis, vis, fuser=fuser, options=VideoOptions(crop=True))


def test_cameras_that_moved_since_the_rig_was_calibrated_are_noticed(
    fuser: Fuser, caplog: pytest.LogCaptureFixture
) -> None:
    # The two synthetic cameras see from one point; the rig says that they are 15 pixels apart.
    moved = make_rig([1, 0, 15, 0, 1, 0, 0, 0, 1], ir_size=(640, 480), vis_size=(640, 480))
    options = VideoOptions(offset_ms=0, max_frames=110)
    with caplog.at_level(logging.WARNING):
        summary = fuse_streams(
            "synthetic:5", "synthetic:5", fuser=fuser, rig=moved, options=options
        )
    assert summary.drift_px == pytest.approx(15, abs=5)
    assert "seem to have moved" in caplog.text
    assert summary.problems == []
