"""Rigs found from recordings alone, and rigs that are not written."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.calibration import CalibrationRefused, Recording, calibrate_automatically
from crossfuse.calibration.automatic import Estimate
from crossfuse.calibration.geometry import corner_error, resized, shrink, similarity
from crossfuse.calibration.verdict import check_estimate
from crossfuse.synthetic import Scene

SIZE = (320, 240)
RATE = 10.0


def recording(
    name: str, frames: list[NDArray[np.uint8]], size: tuple[int, int] = SIZE
) -> Recording:
    return Recording(name, size, frames, np.arange(len(frames), dtype=np.float64) / RATE)


# A camera that is turned sideways and up by about two degrees against the other.
TILTED = np.array([[1, 0, 0], [0, 1, 0], [7e-5, -5e-5, 1]], np.float64)


@pytest.mark.parametrize("tilt", [np.eye(3), TILTED], ids=["straight", "tilted"])
def test_a_synthetic_rig_is_found_with_its_delay(tilt: NDArray[np.float64]) -> None:
    truth = similarity(0.9, 3.0, SIZE, SIZE) @ tilt
    truth[:2, 2] += truth[2, 2] * np.array([14, -9])
    truth /= truth[2, 2]
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"spread": 2.1}, "two halves of the frames differ by 2.1 pixels"),
        ({"uncertainty": 2.5}, "a corner is unsure by 2.5 pixels"),
        ({"fit": 0.1}, "edges of the two recordings fit to 0.10"),
        ({"rival": 0.39}, "another one fits as well"),
        ({"agreement": 0.4}, "40% of the picture agrees"),
    ],
)
def test_doubtful_estimates_are_refused(change: dict[str, Any], message: str) -> None:
    sure = Estimate(
        homography=np.eye(3),
        offset=None,
        spread=1.9,
        uncertainty=2.3,
        fit=0.4,
        rival=0.3,
        agreement=0.9,
        pairs=100,
    )
    assert check_estimate(sure, 640) is sure
    with pytest.raises(CalibrationRefused, match=message):
        check_estimate(replace(sure, **change), 640)
