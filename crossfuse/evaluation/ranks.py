"""Ranks of methods: 1 is best, equal values share the mean of their places."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def ranks(values: Numbers, higher_is_better: NDArray[np.bool_]) -> Numbers:
    """Ranks along the methods of [..., methods, metrics]; NaN stays NaN and is not counted."""
    oriented = np.where(higher_is_better, -values, values)
    result = np.full(values.shape, np.nan)
    for method in range(values.shape[-2]):
        own = oriented[..., method, None, :]
        better = (oriented < own).sum(axis=-2)
        equal = (oriented == own).sum(axis=-2)
        known = np.isfinite(oriented[..., method, :])
        result[..., method, :] = np.where(known, better + (equal + 1) / 2, np.nan)
    return result


def mean_over_metrics(of_metrics: Numbers) -> Numbers:
    """Mean over the last axis of what is defined; NaN where nothing is."""
    defined = np.isfinite(of_metrics)
    count = defined.sum(axis=-1)
    total = np.where(defined, of_metrics, 0).sum(axis=-1)
    means = np.full(count.shape, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means
