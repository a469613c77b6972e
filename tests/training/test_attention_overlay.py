"""Colours of attention maps over pictures."""

from __future__ import annotations

import numpy as np
import pytest

from crossfuse_training.attention_overlay import CONTRAST, colour_scale, overlay, strength


def test_colours_say_more_less_and_average() -> None:
    picture = np.full((5, 7), 100, np.uint8)
    values = np.array([[4.0, 1.0], [0.25, 0.0]])
    drawing = overlay(picture, values, token_side=2, scale=2.0, longest_side=100)
    assert drawing.shape == (5, 7, 3)
    grey = round(CONTRAST * 100 + (1 - CONTRAST) * 127.5)
    assert drawing[0, 0].tolist() == [219, 132, 28]
    assert drawing[2, 1].tolist() == drawing[3, 3].tolist() == [55, 111, 219]
    assert drawing[1, 2].tolist() == [grey] * 3
    # No token covers the last row and the last three columns.
    assert (drawing[4] == grey).all()
    assert (drawing[:, 4:] == grey).all()


def test_large_pictures_are_drawn_smaller() -> None:
    picture = np.zeros((90, 200), np.uint8)
    drawing = overlay(picture, np.ones((3, 7)), token_side=32, scale=1.0, longest_side=100)
    assert drawing.shape == (45, 100, 3)


def test_the_scale_fits_what_is_above_average() -> None:
    values = np.concatenate([np.full(1000, 0.9), np.full(995, 2.0), np.full(5, 64.0)])
    assert colour_scale(values) == pytest.approx(1.0)
    assert strength(np.array([2.0, 0.5, 1.0, 64.0]), 1.0).tolist() == [1, -1, 0, 1]
    uniform = 1 + np.random.default_rng(0).normal(0, 1e-6, 1000)
    for nothing_above in (uniform, np.ones(5), np.full(5, 0.9)):
        assert colour_scale(nothing_above) == pytest.approx(np.log2(1.1))
