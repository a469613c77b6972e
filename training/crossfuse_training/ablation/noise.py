"""How much a result changes when nothing but chance does.

Runs of one configuration with different seeds, and configurations that differ only in factors that
compute the same function, are repetitions of each other: their spread is the noise. It is pooled
over all configurations, since few have many repetitions.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95
_DRAWS = 20_000
_SEED = 20262


@dataclass(frozen=True, eq=False)
class Noise:
    """The standard deviation of one run, by metric."""

    std: NDArray[np.float64]
    degrees: int
    """Repetitions beyond the first of each configuration: what the estimate rests on."""


def pooled_noise(means: NDArray[np.float64], groups: Sequence[Hashable]) -> Noise | None:
    """Of runs x metrics; runs of one group repeat each other. None without any repetition."""
    squares = np.zeros(means.shape[1])
    degrees = 0
    for group in dict.fromkeys(groups):
        members = means[[each == group for each in groups]]
        squares += np.square(members - members.mean(axis=0)).sum(axis=0)
        degrees += len(members) - 1
    return Noise(np.sqrt(squares / degrees), degrees) if degrees else None


def floors(noise: Noise, counts: Sequence[int], baseline: int) -> NDArray[np.float64]:
    """Configurations x metrics: the difference from the baseline that chance alone explains.

    Under chance alone no difference of any configuration exceeds its floor in 95 % of studies, for
    one metric at a time (Dunnett's many-to-one comparison, simulated). `counts` are the runs of
    each configuration; `baseline` is the row of the baseline.
    """
    runs = np.array(counts, np.float64)
    spread = np.sqrt(1 / runs + 1 / runs[baseline])
    others = np.arange(len(runs)) != baseline
    random = np.random.default_rng(_SEED)
    drawn = random.standard_normal((_DRAWS, len(runs))) / np.sqrt(runs)
    distances = np.abs(drawn - drawn[:, [baseline]]) / spread
    largest = distances[:, others].max(axis=1, initial=0)
    estimated = np.sqrt(random.chisquare(noise.degrees, _DRAWS) / noise.degrees)
    factor = float(np.quantile(largest / estimated, CONFIDENCE))
    result: NDArray[np.float64] = factor * spread[:, None] * noise.std[None, :]
    return result
