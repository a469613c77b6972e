"""The noise of chance, and the differences that it explains."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from crossfuse_training.ablation.noise import Noise, floors, pooled_noise


def test_noise_is_pooled_within_groups() -> None:
    means = np.array([[1.0, 10], [3, 10], [7, 20], [8, 20], [9, 20], [100, 0]])
    noise = pooled_noise(means, ["a", "a", "b", "b", "b", "c"])
    assert noise is not None
    assert noise.degrees == 3
    # Squared distances from the groups' means: 1 + 1 and 1 + 0 + 1.
    assert noise.std == pytest.approx([np.sqrt(4 / 3), 0])


def test_without_repetitions_nothing_is_known() -> None:
    assert pooled_noise(np.array([[1.0], [2.0]]), ["a", "b"]) is None


@pytest.mark.parametrize(("counts", "degrees"), [((2, 2), 2), ((3, 5), 6), ((20, 20), 38)])
def test_two_configurations_are_the_t_test(counts: tuple[int, int], degrees: int) -> None:
    noise = Noise(np.array([0.5, 2.0]), degrees)
    expected = stats.t.ppf(0.975, degrees) * np.sqrt(1 / counts[0] + 1 / counts[1])
    assert floors(noise, counts, 0)[1] == pytest.approx(expected * noise.std, rel=0.04)


def test_many_configurations_are_dunnetts_test() -> None:
    # Two-sided 5 % point for 9 comparisons with a control, 20 degrees of freedom (Dunnett 1964).
    noise = Noise(np.array([1.0]), 20)
    found = floors(noise, [3] * 10, 4)[0, 0] / np.sqrt(2 / 3)
    assert found == pytest.approx(2.95, abs=0.06)


def test_chance_alone_seldom_exceeds_the_floor() -> None:
    random = np.random.default_rng(3)
    exceeded = 0
    for _ in range(200):
        means = random.standard_normal((8, 1))
        noise = pooled_noise(means, [0, 0, 1, 1, 2, 2, 3, 3])
        assert noise is not None
        by_configuration = means.reshape(4, 2).mean(axis=1)
        differences = np.abs(by_configuration - by_configuration[0])
        exceeded += bool((differences > floors(noise, [2] * 4, 0)[:, 0]).any())
    assert exceeded <= 20
