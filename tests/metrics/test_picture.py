"""Pictures become grey in one way, and wrong ones are refused with what is valid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.metrics import Picture, SourcePair, evaluate_pair, to_grey


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))))
def test_grey_is_the_rounded_luma_of_rgb(pixels: NDArray[np.uint8]) -> None:
    red, green, blue = (pixels[..., channel].astype(float) for channel in range(3))
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    assert np.abs(to_grey(pixels) - luma).max() <= 0.5 + 1e-4


@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_three_equal_channels_are_the_grey_picture(pixels: NDArray[np.uint8]) -> None:
    assert (to_grey(np.stack([pixels] * 3, axis=-1)) == pixels).all()


def test_channels_are_red_green_blue() -> None:
    red = np.array([[[255, 0, 0]]], np.uint8)
    assert to_grey(red)[0, 0] == 76


def test_views_of_other_pictures_are_accepted() -> None:
    whole = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    view = whole[::2, ::-2, ::-1]
    assert (to_grey(view) == to_grey(view.copy())).all()


@pytest.mark.parametrize(
    ("pixels", "received"),
    [
        (np.zeros((4, 4), np.uint16), "dtype uint16"),
        (np.zeros((4, 4), np.float32), "dtype float32"),
        (np.zeros((4, 4, 4), np.uint8), r"shape \(4, 4, 4\)"),
        (np.zeros((4, 4, 1), np.uint8), r"shape \(4, 4, 1\)"),
        (np.zeros((0, 4), np.uint8), r"shape \(0, 4\)"),
        (np.zeros(4, np.uint8), r"shape \(4,\)"),
    ],
)
def test_other_arrays_are_refused(pixels: NDArray[Any], received: str) -> None:
    good = np.zeros((4, 4), np.uint8)
    with pytest.raises(InvalidInput, match=f"fused: got {received}; valid: "):
        evaluate_pair(good, good, pixels)


def test_sizes_must_be_equal() -> None:
    small, large = np.zeros((4, 5), np.uint8), np.zeros((4, 6), np.uint8)
    with pytest.raises(InvalidInput, match="vis: got size 4x6; valid: 4x5"):
        evaluate_pair(small, large, small)
    with pytest.raises(InvalidInput, match="fused: got size 4x6; valid: 4x5"):
        evaluate_pair(small, small, large)


def test_what_is_derived_from_a_picture_is_derived_once() -> None:
    calls = []

    def brightest(picture: Picture) -> int:
        calls.append(picture)
        return int(picture.grey.max())

    pair = SourcePair(np.full((3, 3), 5, np.uint8), np.full((3, 3), 6, np.uint8))
    assert [pair.ir.derive(brightest), pair.ir.derive(brightest), pair.vis.derive(brightest)] == [
        5,
        5,
        6,
    ]
    assert calls == [pair.ir, pair.vis]
