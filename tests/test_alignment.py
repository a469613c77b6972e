from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfuse.alignment import align_infrared, parse_homography
from crossfuse.errors import InvalidInput

IR = np.full((40, 50), 200, np.uint8)
VIS = np.full((60, 80, 3), 30, np.uint8)
IDENTITY = [1, 0, 0, 0, 1, 0, 0, 0, 1]


def test_the_identity_changes_nothing() -> None:
    random = np.random.default_rng(0).integers(0, 256, (60, 80), dtype=np.uint8)
    np.testing.assert_array_equal(align_infrared(random, VIS, parse_homography(IDENTITY)), random)


def test_what_the_infrared_does_not_see_is_the_visible_picture() -> None:
    aligned = align_infrared(IR, VIS, parse_homography([1, 0, 10, 0, 1, 5, 0, 0, 1]))
    assert aligned.shape == (60, 80)
    assert (aligned[20:35, 25:45] == 200).all()
    assert (aligned[:5] == 30).all()
    assert (aligned[:, :10] == 30).all()
    assert (aligned[45:] == 30).all()


def test_the_border_fades() -> None:
    aligned = align_infrared(IR, VIS, parse_homography([1, 0, 10, 0, 1, 5, 0, 0, 1]))
    row = aligned[25, 8:30].astype(int)
    assert (np.diff(row) >= 0).all()
    assert np.diff(row).max() < 170 / 3


def test_a_negative_matrix_is_the_same_mapping() -> None:
    matrix = parse_homography([1.1, 0, 3, 0, 0.9, 2, 0, 0.0001, 1])
    np.testing.assert_array_equal(
        align_infrared(IR, VIS, matrix), align_infrared(IR, VIS, -2 * matrix)
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0] * 9, "infinity"),
        ([1, 2, 3, 2, 4, 6, 0, 0, 1], "area"),
        ([float("nan"), *IDENTITY[1:]], "NaN"),
        ([*IDENTITY[:2], float("inf"), *IDENTITY[3:]], "NaN or infinite"),
        (IDENTITY[:8], "8 numbers"),
        ([1, 0, 5000, 0, 1, 0, 0, 0, 1], "outside"),
        ([1e9, 0, 0, 0, 1e9, 0, 0, 0, 1], "infinity|area"),
        ([1e-9, 0, 0, 0, 1e-9, 0, 0, 0, 1], "area"),
        ([1, 0, 0, 0, 1, 0, 0.05, 0, -1], "infinity"),
        ([1e308] * 9, "infinity|area"),
    ],
)
def test_what_no_rig_does_is_refused(values: list[float], expected: str) -> None:
    with pytest.raises(InvalidInput, match=expected):
        align_infrared(IR, VIS, parse_homography(values))


def test_words_are_refused() -> None:
    with pytest.raises(InvalidInput, match="homography"):
        parse_homography(["a"] * 9)  # type: ignore[list-item]


@settings(max_examples=200)
@given(st.lists(st.floats(width=64), min_size=9, max_size=9))
def test_any_nine_numbers_give_a_picture_or_a_refusal(values: list[float]) -> None:
    try:
        aligned = align_infrared(IR, VIS, parse_homography(values))
    except InvalidInput:
        return
    assert aligned.shape == (60, 80)
    assert aligned.dtype == np.uint8
