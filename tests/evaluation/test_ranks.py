from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import rankdata

from crossfuse.evaluation.ranks import mean_over_metrics, ranks

HIGHER, LOWER = np.array([True]), np.array([False])
columns = st.lists(st.integers(0, 4), min_size=1, max_size=7).map(
    lambda values: np.array(values, float)[:, None]
)


@given(columns)
def test_ranks_agree_with_scipy(values: NDArray[np.float64]) -> None:
    np.testing.assert_array_equal(ranks(values, LOWER)[:, 0], rankdata(values[:, 0]))
    np.testing.assert_array_equal(ranks(values, HIGHER)[:, 0], rankdata(-values[:, 0]))


def test_what_is_undefined_has_no_rank_and_takes_no_place() -> None:
    values = np.array([[3.0, 1.0], [np.nan, 2.0], [5.0, np.nan]])
    found = ranks(values, np.array([True, False]))
    np.testing.assert_array_equal(found, [[2, 1], [np.nan, 2], [1, np.nan]])
    np.testing.assert_array_equal(mean_over_metrics(found), [1.5, 2, 1])


def test_pictures_are_ranked_one_by_one() -> None:
    values = np.array([[[1.0], [2.0]], [[4.0], [3.0]]])
    np.testing.assert_array_equal(ranks(values, HIGHER), [[[2], [1]], [[1], [2]]])


def test_nothing_defined_has_no_mean_rank() -> None:
    assert np.isnan(mean_over_metrics(np.array([[np.nan, np.nan]]))).all()
