"""The best configurations of a phase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossfuse.errors import UnknownName
from crossfuse.evaluation.ranks import mean_over_metrics, ranks
from crossfuse_training.ablation.expansion import Configuration, Plan, PlannedRun
from crossfuse_training.ablation.record import Record
from crossfuse_training.run_comparison.metric_names import higher_is_better
from crossfuse_training.run_comparison.run_folder import Run, read_run
from crossfuse_training.run_comparison.scores import Scores, common_scores


@dataclass(frozen=True)
class Place:
    """A configuration with at least one finished run, and how it ranks."""

    configuration: Configuration
    mean_rank: float
    """Mean of its ranks over the metrics that decide; equal values share their places."""
    tied_with: Sequence[str]


def finished(plan: Plan, record: Record) -> list[tuple[PlannedRun, Run]]:
    """The runs that are done, with what their folders hold; prepared ones are no results."""
    return [
        (run, read_run(record.folder(run.id)))
        for run in plan.runs
        if run.configuration is not None and record.status(run) == "done"
    ]


def ranking(
    configurations: Sequence[Configuration],
    results: Sequence[tuple[PlannedRun, Run]],
    rank_by: Sequence[str],
) -> list[Place]:
    """Best first, by means over seeds and the common pictures; ties in the order of the plan."""
    by_name = {each.name: each for each in configurations}
    ours = [(r, run) for r, run in results if r.configuration and r.configuration.name in by_name]
    if not ours:
        return []
    scores = common_scores([run for _, run in ours])
    columns = metric_columns(scores, rank_by)
    names = [planned.configuration.name for planned, _ in ours if planned.configuration]
    order = [name for name in by_name if name in names]
    means = np.stack([scores.means[[n == name for n in names]].mean(axis=0) for name in order])
    places = mean_over_metrics(ranks(means[:, columns], higher_is_better(rank_by)))
    ranked = sorted(range(len(order)), key=lambda row: (float(places[row]), row))
    return [
        Place(
            by_name[order[row]],
            float(places[row]),
            [order[other] for other in ranked if other != row and places[other] == places[row]],
        )
        for row in ranked
    ]


def metric_columns(scores: Scores, names: Sequence[str]) -> list[int]:
    """Where metrics stand in the scores; refused where the runs did not measure one."""
    for name in names:
        if name not in scores.metrics:
            raise UnknownName("rank_by", name, scores.metrics)
    return [scores.metrics.index(name) for name in names]
