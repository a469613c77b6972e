"""What changing one factor alone does, over all configurations in which it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossfuse.evaluation.statistics import known
from crossfuse_training.ablation.analysis import Analysis, Result


@dataclass(frozen=True)
class FactorEffect:
    """A value of a factor against the factor's default, all other factors equal."""

    factor: str
    value: Any
    default: Any
    pairs: int
    """Pairs of configurations that differ in this alone."""
    differences: Sequence[float | None]
    """Mean over the pairs, by metric."""
    stds: Sequence[float | None]
    """Sample standard deviation over the pairs; None with one."""


def factor_effects(analysis: Analysis) -> list[FactorEffect]:
    """One for each value that occurs in a pair; none for a study of named configurations."""
    effects = []
    for name, factor in analysis.plan.study.factors.items():
        values: list[Any] = []
        for result in analysis.results:
            value = result.configuration.factors[name]
            if value != factor.default and value not in values:
                values.append(value)
        for value in sorted(values):
            differences = np.array(_pairs(analysis.results, name, factor.default, value))
            if len(differences) == 0:
                continue
            means = differences.mean(axis=0).tolist()
            stds = (
                differences.std(axis=0, ddof=1).tolist()
                if len(differences) > 1
                else [np.nan] * len(means)
            )
            effects.append(
                FactorEffect(
                    name,
                    value,
                    factor.default,
                    len(differences),
                    [known(mean) for mean in means],
                    [known(std) for std in stds],
                )
            )
    return effects


def _pairs(results: Sequence[Result], name: str, default: Any, value: Any) -> list[list[float]]:
    """Differences by metric, one row for each pair."""
    rows = []
    for changed in results:
        if changed.configuration.factors[name] != value:
            continue
        wanted = {**changed.configuration.factors, name: default}
        for other in results:
            if other.configuration.factors == wanted:
                both = zip(changed.effects, other.effects, strict=True)
                rows.append([_difference(a.mean, b.mean) for a, b in both])
    return rows


def _difference(first: float | None, second: float | None) -> float:
    return first - second if first is not None and second is not None else float("nan")
