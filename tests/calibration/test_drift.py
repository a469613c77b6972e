"""A rig that no longer fits is noticed, one that fits is left in peace."""

from __future__ import annotations

import logging

import cv2
import numpy as np
import pytest

from crossfuse.calibration.drift import PAIRS, DriftCheck
from crossfuse.calibration.geometry import similarity
from crossfuse.synthetic import Scene

SIZE = (320, 240)


@pytest.mark.parametrize(("shift", "warned"), [(0.0, False), (9.0, True)])
def test_drift(shift: float, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(5, SIZE[1], SIZE[0], night=False)
    check = DriftCheck((0, 0, *SIZE), SIZE[0])
    moved = similarity(1.0, 0.0, SIZE, SIZE)
    moved[0, 2] += shift
    with caplog.at_level(logging.WARNING):
        for number in range(PAIRS):
            ir, vis = scene.frame(number / 2)
            aligned = np.asarray(cv2.warpPerspective(ir, moved, SIZE), np.uint8)
            check.add(aligned, vis, number * 1_000_000)
        pixels = check.close()
    assert pixels is not None
    assert pixels == pytest.approx(shift, abs=2.5)
    assert ("seem to have moved" in caplog.text) is warned


def test_nothing_to_see_is_no_drift() -> None:
    check = DriftCheck((0, 0, *SIZE), SIZE[0])
    flat = np.zeros(SIZE[::-1], np.uint8)
    for number in range(PAIRS):
        check.add(flat, flat, number * 1_000_000)
    assert check.close() is None
