"""How much others differ from a reference on the same pictures, and how sure that is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossfuse.evaluation.statistics import (
    Interval,
    bootstrap_intervals,
    known,
    known_interval,
    sign_flip_test,
)
from crossfuse.metrics import summarize


@dataclass(frozen=True)
class Difference:
    """Of one method from the reference on one metric; None where nothing is defined."""

    pictures: int
    mean: float | None
    interval: Interval | None
    """95 % bootstrap over pictures."""
    p: float | None
    """Of the sign-flip test over pictures."""
    p_adjusted: float | None
    """Corrected for all methods and metrics of the comparison."""


def differences_from(values: NDArray[np.float64], reference: int) -> list[list[Difference]]:
    """By method and metric, of values as pictures x methods x metrics; the reference's are 0."""
    pictures, methods, metrics = values.shape
    columns = (values - values[:, [reference]]).reshape(pictures, -1)
    intervals = bootstrap_intervals(columns)
    test = sign_flip_test(columns)

    def difference(column: int) -> Difference:
        summary = summarize(columns[:, column])
        return Difference(
            summary.defined,
            known(summary.mean),
            known_interval(intervals[:, column]),
            known(test.p[column]),
            known(test.adjusted[column]),
        )

    return [
        [difference(method * metrics + metric) for metric in range(metrics)]
        for method in range(methods)
    ]
