"""What may be said from how many samples."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from crossfuse_bench.percentiles import (
    histogram,
    interval_ranks,
    is_stable,
    least_samples,
    merged,
    percentile_of,
)
from crossfuse_bench.rows import latency_fields, stability


@pytest.mark.parametrize(
    ("percentile", "needed"), [(50, 6), (90, 36), (95, 72), (99, 368), (99.9, 3688)]
)
def test_a_percentile_needs_samples(percentile: float, needed: int) -> None:
    assert least_samples(percentile) == needed
    refused = percentile_of(np.ones(needed - 1), percentile)
    assert refused.value is None
    assert refused.reason.endswith(f"needs at least {needed}")
    assert percentile_of(np.ones(needed), percentile).value == 1


def test_a_thousand_samples_give_no_p99_9() -> None:
    row = latency_fields(list(np.linspace(1, 2, 1000)))
    assert row["p99_9"] is None
    assert row["reasons"] == {"p99_9": "1000 samples; p99_9 needs at least 3688"}
    assert row["p99"] == pytest.approx(1.99, abs=0.002)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.99])
def test_intervals_hold_what_they_promise(share: float) -> None:
    chance = np.random.default_rng(3)
    true = -math.log(1 - share)
    inside = 0
    for _ in range(400):
        found = percentile_of(chance.exponential(size=500), 100 * share)
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= true <= found.high
    # 95 % of 400 are 380; 4 standard deviations are 17.
    assert inside >= 363


def test_ranks_agree_with_a_table() -> None:
    # The exact 95 % interval of a median of 10 lies between the 2nd and the 9th sample.
    assert interval_ranks(10, 0.5) == (2, 9)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99, 0.999])
def test_ranks_are_those_of_the_binomial_law(share: float) -> None:
    for count in (least_samples(100 * share), 5000, 20000):
        low, high = interval_ranks(count, share)
        below = stats.binom(count, share)
        # The narrowest ranks with at most 2.5 % beyond each of them.
        assert below.cdf(low - 1) <= 0.025 < below.cdf(low)
        assert below.sf(high - 1) <= 0.025 < below.sf(high - 2)


def test_histograms_of_processes_are_merged() -> None:
    first, second = np.linspace(1, 10, 300), np.linspace(5, 50, 300)
    whole = merged([histogram(list(first)), histogram(list(second))])
    assert whole.get_total_count() == 600
    exact = np.quantile(np.concatenate([first, second]), 0.9, method="inverted_cdf")
    assert whole.get_value_at_percentile(90) / 1e3 == pytest.approx(exact, rel=2e-3)


def test_three_windows_must_agree() -> None:
    assert is_stable([9, 1.0, 1.05, 1.09], [7, 10, 10, 10])
    assert not is_stable([1.0, 1.05, 1.2], [10, 10, 10])
    assert not is_stable([1.0, 1.0, 1.0], [10, 10, 12])
    assert not is_stable([1.0, 1.0], [10, 10])


def test_a_drift_in_one_process_is_unstable() -> None:
    steady = [10.0, 10.1] * 15
    assert stability([steady, steady])["stable"]
    found = stability([steady, list(np.linspace(10, 15, 30))])
    assert not found["stable"]
    assert found["run_to_run"] == pytest.approx(0.153, abs=0.01)
