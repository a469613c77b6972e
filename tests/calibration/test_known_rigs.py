"""Six rigs with known answers, made of real pictures; what their report takes for the truth."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from crossfuse.calibration.geometry import corner_error, similarity
from crossfuse.synthetic import Scene
from crossfuse_bench.calibrate_rigs import Outcome, attempt, report
from crossfuse_bench.own_alignment import OwnAlignment
from crossfuse_bench.own_shifts import shifts_by_information
from crossfuse_bench.registered_sets import PictureSet, draw_case, load_sets

SIZE = (320, 240)


def bent_scene() -> OwnAlignment:
    """The own alignment of visible pictures with infrared ones that a lens has bent."""
    scene = Scene(5, SIZE[1], SIZE[0], night=False)
    pairs = [scene.frame(float(number)) for number in range(4)]
    x, y = np.meshgrid(np.arange(SIZE[0]), np.arange(SIZE[1]))
    bent = 3 + 2 * ((x - 160) / 160) ** 2
    across, down = (x - bent).astype(np.float32), y.astype(np.float32)
    ir = [
        np.asarray(cv2.remap(pair[0], across, down, cv2.INTER_LINEAR), np.uint8) for pair in pairs
    ]
    vis = [np.asarray(cv2.cvtColor(pair[1], cv2.COLOR_RGB2GRAY), np.uint8) for pair in pairs]
    return OwnAlignment(ir, vis)


def test_own_shifts_of_pictures_are_measured_where_no_homography_has_them() -> None:
    own = bent_scene()
    places = np.array([[60.0, 120], [160, 120], [260, 120]])
    shifts = own.infrared_places(places) - places
    np.testing.assert_allclose(shifts[:, 0], [3.8, 3.0, 3.8], atol=0.6)
    np.testing.assert_allclose(shifts[:, 1], 0, atol=0.6)
    truth = similarity(0.9, 3.0, SIZE, SIZE)
    assert 2 < corner_error(own.composed(truth, SIZE), truth, SIZE) < 6


def test_shifts_show_without_edges_too() -> None:
    infrared, seen = Scene(5, SIZE[1], SIZE[0], night=False).frame(0.0)
    moved = np.asarray(np.roll(infrared, (-2, 4), axis=(0, 1)), np.uint8)
    vis = np.asarray(cv2.cvtColor(seen, cv2.COLOR_RGB2GRAY), np.uint8)
    found = shifts_by_information(PictureSet("moved", [infrared, moved], [vis, vis], 10))
    assert len(found) >= 8
    shifts = np.median([shift for _, shift in found], axis=0)
    np.testing.assert_allclose(shifts, [4, -2], atol=0.7)


@pytest.mark.data
def test_six_known_rigs_on_real_pictures(data_dir: Path) -> None:
    """`make rigs` does the same with fifty, and keeps the report."""
    if not (data_dir / "m3svd_video").is_dir():
        pytest.skip(f"no {data_dir / 'm3svd_video'}")
    sets = load_sets(data_dir, most=120)
    own = [OwnAlignment(pictures.ir[1::4], pictures.vis[1::4]) for pictures in sets]
    outcomes = []
    for number in range(6):
        place = number % len(sets)
        case = draw_case(number, sets[place])
        found = attempt(case, own[place], registered=True)
        assert found.known is not None, found.refused
        assert found.known <= 3
        assert found.offset is None or found.offset <= case.frame
        outcomes.append(Outcome(case, found, found))
    assert "| 6 | 0 | 6 of 6 | 0 |" in report(outcomes)
