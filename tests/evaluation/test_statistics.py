"""Intervals, p values and their correction, against brute force and known answers."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from crossfuse.evaluation.statistics import (
    SIGN_FLIPS,
    bootstrap_intervals,
    sign_flip_test,
)


def brute_force_p(differences: list[float]) -> float:
    observed = abs(sum(differences))
    sums = [
        abs(math.fsum(sign * value for sign, value in zip(signs, differences, strict=True)))
        for signs in itertools.product((-1, 1), repeat=len(differences))
    ]
    return sum(value >= observed - 1e-6 for value in sums) / len(sums)


@given(st.lists(st.integers(-50, 50).map(lambda n: n / 8), min_size=1, max_size=8))
def test_few_pictures_are_tested_exactly(differences: list[float]) -> None:
    (p,) = sign_flip_test(np.array(differences)[:, None]).p
    assert p == pytest.approx(brute_force_p(differences))


def test_many_pictures_are_tested_by_random_signs() -> None:
    random = np.random.default_rng(0)
    noise = random.normal(0, 1, 200)
    columns = np.stack([noise - noise.mean(), noise + 1, noise - noise.mean() + 0.14], axis=1)
    equal, clear, doubtful = sign_flip_test(columns).p
    assert equal == pytest.approx(1, abs=1e-3)
    assert clear == pytest.approx(1 / (SIGN_FLIPS + 1))
    # Two standard errors: the normal approximation says 0.048.
    standard_error = noise.std() / math.sqrt(200)
    expected = math.erfc(0.14 / standard_error / math.sqrt(2))
    assert doubtful == pytest.approx(expected, abs=0.01)


def test_methods_that_are_equal_everywhere_do_not_differ() -> None:
    found = sign_flip_test(np.zeros((5, 2)))
    assert found.p.tolist() == found.adjusted.tolist() == [1.0, 1.0]


def test_undefined_pictures_are_left_out() -> None:
    nan = math.nan
    columns = np.array([[1.0, nan, nan], [2.0, 1.0, nan], [3.0, 2.0, nan], [nan, 3.0, nan]])
    p = sign_flip_test(columns).p
    assert p[:2].tolist() == [0.25, 0.25]
    assert np.isnan(p[2])
    assert np.isnan(sign_flip_test(columns).adjusted).tolist() == [False, False, True]
    intervals = bootstrap_intervals(columns)
    np.testing.assert_array_equal(np.isnan(intervals[0]), [False, False, True])
    assert 1 <= intervals[0, 0] < 2 < intervals[1, 0] <= 3


def test_one_value_has_no_interval() -> None:
    assert np.isnan(bootstrap_intervals(np.array([[1.0]]))).all()


def test_intervals_agree_with_the_normal_approximation() -> None:
    random = np.random.default_rng(1)
    values = random.normal(5, 2, (400, 1))
    low, high = bootstrap_intervals(values)[:, 0]
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def test_the_same_scores_give_the_same_intervals() -> None:
    values = np.random.default_rng(2).normal(size=(30, 4))
    np.testing.assert_array_equal(bootstrap_intervals(values), bootstrap_intervals(values))


def test_intervals_of_differences_use_the_same_resamples() -> None:
    first = np.random.default_rng(3).normal(size=(40, 1))
    both = np.concatenate([first, first + 2, first - (first + 2)], axis=1)
    intervals = bootstrap_intervals(both)
    np.testing.assert_allclose(intervals[:, 2], [-2, -2])


def test_the_correction_is_exact_for_few_pictures() -> None:
    random = np.random.default_rng(4)
    columns = random.normal(0.5, 1, (6, 3))
    found = sign_flip_test(columns)

    def clearness(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(np.abs(values.mean(axis=0)) / values.std(axis=0))

    signs = np.array(list(itertools.product((-1, 1), repeat=6)))[..., None]
    largest = np.array([clearness(columns * sign).max() for sign in signs])
    expected = [(largest >= own - 1e-9).mean() for own in clearness(columns)]
    np.testing.assert_allclose(found.adjusted, expected)


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 6))
def test_the_correction_never_lowers(seed: int, pictures: int, count: int) -> None:
    columns = np.random.default_rng(seed).normal(0.3, 1, (pictures, count))
    found = sign_flip_test(columns)
    assert (found.adjusted >= found.p).all()
    assert (found.adjusted <= 1).all()
    assert (found.p >= 0.5**pictures).all()
    if count == 1:
        np.testing.assert_array_equal(found.adjusted, found.p)


def test_one_false_discovery_in_twenty_evaluations() -> None:
    random = np.random.default_rng(5)
    wrong = 0
    for _ in range(300):
        shared = random.normal(size=(9, 1))
        nothing = shared + random.normal(size=(9, 12))
        wrong += bool((sign_flip_test(nothing).adjusted < 0.05).any())
    assert 5 <= wrong <= 25
