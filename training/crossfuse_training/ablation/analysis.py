"""From the finished runs of a study to means, differences from the baseline and verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.evaluation.statistics import SIGNIFICANCE, known
from crossfuse_training.ablation.expansion import Configuration, Plan, PlannedRun
from crossfuse_training.ablation.noise import Noise, floors, pooled_noise
from crossfuse_training.ablation.record import Record
from crossfuse_training.ablation.selection import Place, finished, metric_columns, ranking
from crossfuse_training.charts.bars import Verdict
from crossfuse_training.run_comparison.differences import Difference, differences_from
from crossfuse_training.run_comparison.metric_names import higher_is_better
from crossfuse_training.run_comparison.run_folder import Run
from crossfuse_training.run_comparison.scores import Scores, common_scores


@dataclass(frozen=True)
class Effect:
    """One metric of one configuration."""

    mean: float | None
    """Over the finished seeds, of means over the common pictures."""
    std: float | None
    """Sample standard deviation over seeds; None with one."""
    difference: Difference | None
    """From the baseline, picture by picture, each picture the mean over seeds."""
    floor: float | None
    """Differences up to this are explained by chance alone; None where that is not known."""
    verdict: Verdict


@dataclass(frozen=True)
class Result:
    """One configuration with at least one finished run."""

    configuration: Configuration
    runs: Sequence[tuple[PlannedRun, Run]]
    place: Place
    effects: Sequence[Effect]
    """By metric."""


@dataclass(frozen=True, eq=False)
class Analysis:
    """What a report says."""

    plan: Plan
    record: Record
    scores: Scores
    """The metrics that decide come first."""
    results: Sequence[Result]
    """Best first."""
    noise: Noise | None
    has_baseline: bool


def analyse(plan: Plan, record: Record) -> Analysis:
    """At least one run must be finished."""
    done = finished(plan, record)
    if not done:
        raise InvalidInput(
            "--output", f"{record.output}, without a finished run", "a study that was begun"
        )
    scores = _deciding_first(common_scores([run for _, run in done]), plan.study.rank_by)
    planned = [run for run, _ in done]
    places = ranking(plan.configurations, done, plan.study.rank_by)
    own = [
        [number for number, run in enumerate(planned) if run.configuration == place.configuration]
        for place in places
    ]
    names = [place.configuration.name for place in places]
    baseline = names.index(plan.baseline.name) if plan.baseline.name in names else None
    noise = pooled_noise(scores.means, [_repeats(plan, run) for run in planned])
    differences = limits = None
    if baseline is not None:
        by_picture = np.stack([scores.values[:, rows].mean(axis=1) for rows in own], axis=1)
        differences = differences_from(by_picture, baseline)
        if noise is not None:
            limits = floors(noise, [len(rows) for rows in own], baseline)
    results = [
        Result(
            place.configuration,
            [done[row] for row in rows],
            place,
            _effects(
                scores.means[rows],
                differences[number] if differences is not None else [None] * len(scores.metrics),
                limits[number].tolist() if limits is not None else [None] * len(scores.metrics),
                scores.metrics,
            ),
        )
        for number, (place, rows) in enumerate(zip(places, own, strict=True))
    ]
    return Analysis(plan, record, scores, results, noise, baseline is not None)


def _effects(
    means: NDArray[np.float64],
    differences: Sequence[Difference | None],
    limits: Sequence[float | None],
    metrics: Sequence[str],
) -> list[Effect]:
    """Of one configuration, by metric; `means` are those of its runs, runs x metrics."""
    spread = means.std(axis=0, ddof=1).tolist() if len(means) > 1 else [None] * len(metrics)
    columns = zip(
        means.mean(axis=0).tolist(),
        spread,
        differences,
        limits,
        higher_is_better(metrics).tolist(),
        strict=True,
    )
    return [
        Effect(known(mean), std, difference, limit, _verdict(difference, limit, higher))
        for mean, std, difference, limit, higher in columns
    ]


def _verdict(difference: Difference | None, floor: float | None, higher: bool) -> Verdict:
    """An effect is shown where both chances fail to explain it: seeds, and the choice of pictures.

    Without repetitions the noise of the seed is not known, and nothing is shown.
    """
    if difference is None or difference.mean is None or floor is None:
        return "not shown"
    sure = difference.p_adjusted is not None and difference.p_adjusted < SIGNIFICANCE
    if abs(difference.mean) <= floor or not sure:
        return "not shown"
    return "better" if (difference.mean > 0) == higher else "worse"


def _deciding_first(scores: Scores, rank_by: Sequence[str]) -> Scores:
    columns = metric_columns(scores, rank_by)
    columns += [number for number in range(len(scores.metrics)) if number not in columns]
    names = [scores.metrics[column] for column in columns]
    return Scores(scores.pictures, scores.runs, names, scores.values[..., columns], scores.notes)


def _repeats(plan: Plan, run: PlannedRun) -> str:
    """The same for runs that differ by chance alone."""
    factors = plan.study.factors
    telling = {
        name: value
        for name, value in run.factors.items()
        if name not in factors or not factors[name].same_function
    }
    return repr(telling)
