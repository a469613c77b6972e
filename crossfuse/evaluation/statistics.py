"""How sure a mean and a difference of means are: bootstrap intervals and sign-flip tests.

All columns share the same random draws, so methods are compared on the same resampled pictures.
Pictures are taken as independent; neighbouring frames of one video are not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Columns = NDArray[np.float64]
"""One row per picture; NaN where undefined."""
Interval = tuple[float, float]

SEED = 20261
RESAMPLES = 2000
CONFIDENCE = 0.95
SIGNIFICANCE = 0.05
SIGN_FLIPS = 10_000
# Random numbers drawn at a time.
DRAWS = 2**20


def bootstrap_intervals(columns: Columns) -> Columns:
    """Percentile bootstrap interval of each column's mean, as 2xC; NaN below two values."""
    pictures, count = columns.shape
    intervals = np.full((2, count), np.nan)
    usable = np.isfinite(columns).sum(axis=0) >= 2
    if not usable.any():
        return intervals
    defined = np.isfinite(columns[:, usable]).astype(np.float64)
    filled = np.nan_to_num(columns[:, usable])
    random = np.random.default_rng(SEED)
    means = []
    for size in _chunks(RESAMPLES, pictures):
        drawn = random.integers(0, pictures, (size, pictures))
        drawn += np.arange(size)[:, None] * pictures
        weights = np.bincount(drawn.ravel(), minlength=size * pictures).reshape(size, pictures)
        # A resample may hold none of the pictures on which a metric is defined.
        with np.errstate(invalid="ignore"):
            means.append((weights @ filled) / (weights @ defined))
    tail = (1 - CONFIDENCE) / 2
    intervals[:, usable] = np.nanquantile(np.concatenate(means), [tail, 1 - tail], axis=0)
    return intervals


class Probabilities(NamedTuple):
    """Of the differences in each column; NaN where no picture has a difference."""

    p: NDArray[np.float64]
    """Of a mean difference at least this large, in this column."""
    adjusted: NDArray[np.float64]
    """Of one at least this clear in any column."""


def sign_flip_test(differences: Columns) -> Probabilities:
    """Two-sided test of each column's mean difference under random signs of the pictures.

    A picture has one sign for all columns, so the correction for many columns knows how they hang
    together (Westfall and Young's single-step max-T). Every pattern of signs is tried where there
    are at most SIGN_FLIPS.
    """
    pictures, count = differences.shape
    defined = np.isfinite(differences).any(axis=0)
    filled = np.nan_to_num(differences)
    # Flipping signs leaves the sum of squares as it is: what remains of Student's t is the sum.
    length = np.sqrt(np.square(filled).sum(axis=0))
    scaled = np.divide(filled, length, out=np.zeros_like(filled), where=length > 0)
    # Equal up to rounding counts as equal.
    observed = np.abs(scaled.sum(axis=0)) - 1e-9
    exact = 2 ** min(pictures, 60) <= SIGN_FLIPS
    rounds = 2**pictures if exact else SIGN_FLIPS
    random = np.random.default_rng(SEED)
    # Random patterns need the observed one among them; all patterns have it.
    alone = np.full(count, 0.0 if exact else 1.0)
    largest = alone.copy()
    first = 0
    for size in _chunks(rounds, pictures):
        if exact:
            patterns = np.arange(first, first + size)[:, None] >> np.arange(pictures) & 1
            first += size
        else:
            patterns = random.integers(0, 2, (size, pictures))
        sums = np.abs((2.0 * patterns - 1) @ scaled)
        alone += (sums >= observed).sum(axis=0)
        largest += (sums.max(axis=1, initial=0)[:, None] >= observed).sum(axis=0)
    total = rounds if exact else rounds + 1
    unknown = np.where(defined, 1, np.nan)
    return Probabilities(alone / total * unknown, largest / total * unknown)


def known(value: float) -> float | None:
    """None in place of NaN."""
    return float(value) if np.isfinite(value) else None


def known_interval(ends: NDArray[np.float64]) -> Interval | None:
    """The lower and the upper end, [2]; None in place of NaN."""
    return (float(ends[0]), float(ends[1])) if np.isfinite(ends).all() else None


def _chunks(total: int, pictures: int) -> list[int]:
    size = max(1, min(total, DRAWS // pictures))
    return [size] * (total // size) + ([total % size] if total % size else [])
