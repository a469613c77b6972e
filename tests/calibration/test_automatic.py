"""Rigs found from recordings alone, and rigs that are not written."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.calibration import CalibrationRefused, Recording, calibrate_automatically
from crossfuse.calibration.geometry import corner_error, resized, shrink, similarity
from crossfuse.synthetic import Scene
from crossfuse_bench.calibrate_rigs import load_sets, run_case

SIZE = (320, 240)
RATE = 10.0


def recording(
    name: str, frames: list[NDArray[np.uint8]], size: tuple[int, int] = SIZE
) -> Recording:
    return Recording(name, size, frames, np.arange(len(frames), dtype=np.float64) / RATE)


def test_a_synthetic_rig_is_found_with_its_delay() -> None:
    truth = similarity(0.9, 3.0, SIZE, SIZE)
    truth[:2, 2] += (14, -9)
    scene = Scene(5, SIZE[1], SIZE[0], night=False)
    moments = [scene.frame(number / RATE) for number in range(27)]
    noise = np.random.default_rng(0)
    ir = [
        np.clip(
            cv2.warpPerspective(infrared, np.linalg.inv(truth), SIZE)
            + noise.normal(0, 3, SIZE[::-1]),
            0,
            255,
        ).astype(np.uint8)
        for infrared, _ in moments[2:]
    ]
    vis = [np.asarray(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY), np.uint8) for _, seen in moments]
    rig = calibrate_automatically(recording("ir", ir), recording("vis", vis[:-2]))
    assert corner_error(rig.homography, truth, SIZE) < 3
    assert rig.time_offset_ms == pytest.approx(200, abs=1e3 / RATE)
    assert rig.quality.offset_error is not None
    assert rig.quality.error < 3


def test_cameras_between_which_nothing_fits_are_refused() -> None:
    scene = Scene(5, 240, 320)
    pairs = [scene.frame(number / RATE) for number in range(4)]
    ir = [infrared for infrared, _ in pairs]
    vis = [np.ascontiguousarray(seen[::-1, ::-1, 1]) for _, seen in pairs]  # it hangs head down
    with pytest.raises(CalibrationRefused, match="valid: "):
        calibrate_automatically(recording("ir", ir), recording("vis", vis))


def test_cameras_that_see_nothing_are_refused() -> None:
    flat = [np.full((240, 320), 90, np.uint8)] * 4
    with pytest.raises(CalibrationRefused, match="nothing in the two recordings corresponds"):
        calibrate_automatically(recording("ir", flat), recording("vis", flat))


def test_pictures_of_a_size_come_back_at_that_size() -> None:
    large = np.zeros((480, 640), np.uint8)
    small = shrink(large, 320)
    assert small.shape == (240, 320)
    corner = resized((640, 480), (320, 240)) @ np.array([639.5, 479.5, 1])
    np.testing.assert_allclose(corner[:2], [319.5, 239.5])


@pytest.mark.data
def test_six_known_rigs_on_real_pictures(data_dir: Path) -> None:
    """`make rigs` does the same with fifty, and keeps the report."""
    if not (data_dir / "m3svd_video").is_dir():
        pytest.skip(f"no {data_dir / 'm3svd_video'}")
    sets = load_sets(data_dir, most=120)
    clip, stills = sets[0], sets[-1]
    own = clip.own_error()
    for number in (0, 3, 6, 9):
        outcome = run_case(number, clip, own)
        assert outcome.own_error is not None, outcome.refused
        assert outcome.own_error <= 3
        assert outcome.offset_error is not None
        assert outcome.offset_error <= outcome.frame
    # Single pictures with parallax of their own: too few to agree, and so nothing is written.
    for number in (5, 8):
        assert run_case(number, stills, np.eye(3)).refused
