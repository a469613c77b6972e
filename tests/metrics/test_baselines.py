"""The simple rules that reports print beside every method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from crossfuse.metrics import BASELINES, average, evaluate_pair, laplacian_pyramid, maximum

Grey = NDArray[np.uint8]
Triple = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


@given(st.data())
def test_every_rule_stays_between_black_and_white_at_any_size(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40)))
    ir, vis = (data.draw(arrays(np.uint8, shape)) for _ in range(2))
    for fuse in BASELINES.values():
        fused = fuse(ir, vis)
        assert fused.dtype == np.uint8
        assert fused.shape == shape
    assert (maximum(ir, vis) == np.maximum(ir, vis)).all()
    assert np.abs(average(ir, vis) - (ir.astype(float) + vis) / 2).max() <= 0.5


@pytest.mark.parametrize("fuse", BASELINES.values(), ids=BASELINES)
def test_equal_sources_are_kept(fuse: Callable[..., Grey], scene: Triple) -> None:
    assert (fuse(scene[0], scene[0]) == scene[0]).all()


@pytest.mark.parametrize("fuse", BASELINES.values(), ids=BASELINES)
def test_a_colour_picture_counts_by_its_luma(fuse: Callable[..., Grey], scene: Triple) -> None:
    colour = np.repeat(scene[1][..., None], 3, axis=2)
    assert (fuse(scene[0], colour) == fuse(scene[0], scene[1])).all()


def test_the_pyramid_keeps_the_stronger_detail(scene: Triple) -> None:
    ir, vis, _ = scene
    sharp = evaluate_pair(ir, vis, laplacian_pyramid(ir, vis), names=["SF", "Qabf"])
    blurred = evaluate_pair(ir, vis, average(ir, vis), names=["SF", "Qabf"])
    assert sharp["SF"] > blurred["SF"]
    assert sharp["Qabf"] > blurred["Qabf"]


def test_the_pyramid_adds_no_detail_of_its_own() -> None:
    ir, vis = np.full((37, 50), 40, np.uint8), np.full((37, 50), 81, np.uint8)
    assert set(np.unique(laplacian_pyramid(ir, vis))) <= {60, 61}
