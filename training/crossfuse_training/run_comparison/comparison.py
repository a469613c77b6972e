"""Compares runs on what they held out, and writes the comparison down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crossfuse._version import __version__
from crossfuse.errors import InvalidInput
from crossfuse.evaluation import statistics
from crossfuse.evaluation.ranks import mean_over_metrics, ranks
from crossfuse.evaluation.statistics import Interval, known, known_interval
from crossfuse.images import write_file
from crossfuse.metrics import summarize
from crossfuse_training.run_comparison.differences import Difference, differences_from
from crossfuse_training.run_comparison.markdown import comparison_markdown
from crossfuse_training.run_comparison.metric_names import higher_is_better
from crossfuse_training.run_comparison.pictures import curves_picture, differences_picture
from crossfuse_training.run_comparison.provenance import provenance
from crossfuse_training.run_comparison.run_folder import Run
from crossfuse_training.run_comparison.scores import Scores, common_scores

SCHEMA = 1
# Points of a curve that a report keeps: more than a picture of it can show.
_CURVE_POINTS = 200


@dataclass(frozen=True)
class Cell:
    """One metric of one run over the common pictures."""

    mean: float | None
    std: float | None
    interval: Interval | None
    """95 % bootstrap of the mean over pictures; None below two."""
    defined: int
    rank: float | None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Everything a report says; the first run is the reference of the differences."""

    runs: Sequence[Run]
    scores: Scores
    cells: list[list[Cell]]
    """By run and metric."""
    mean_ranks: list[float | None]
    differences: list[list[Difference]]
    """By run and metric."""
    notes: list[str]


def compare_runs(runs: Sequence[Run]) -> Comparison:
    """Two or more finished runs."""
    if len(runs) < 2:
        raise InvalidInput("RUN", f"{len(runs)} run", "two or more run folders")
    scores = common_scores(runs)
    pictures, count, metrics = scores.values.shape
    intervals = statistics.bootstrap_intervals(scores.values.reshape(pictures, -1))
    places = ranks(scores.means, higher_is_better(scores.metrics))

    def cell(run: int, metric: int) -> Cell:
        summary = summarize(scores.values[:, run, metric])
        return Cell(
            known(summary.mean),
            known(summary.std),
            known_interval(intervals[:, run * metrics + metric]),
            summary.defined,
            known(places[run, metric]),
        )

    return Comparison(
        runs,
        scores,
        [[cell(run, metric) for metric in range(metrics)] for run in range(count)],
        [known(value) for value in mean_over_metrics(places)],
        differences_from(scores.values, 0),
        [*scores.notes, *_loss_notes(runs)],
    )


def _loss_notes(runs: Sequence[Run]) -> list[str]:
    if all(run.recipe.get("loss") == runs[0].recipe.get("loss") for run in runs):
        return []
    return [
        "The runs were trained with different losses: their loss curves are not on one scale and "
        "say nothing about which run is better. The held-out metrics do."
    ]


def as_json(comparison: Comparison) -> dict[str, Any]:
    """Plain data without NaN: what is unknown is null."""
    metrics = comparison.scores.metrics
    rows = zip(
        comparison.runs,
        comparison.cells,
        comparison.mean_ranks,
        comparison.differences,
        strict=True,
    )
    return {
        "schema": SCHEMA,
        "crossfuse": __version__,
        "reference": comparison.runs[0].name,
        "pictures": comparison.scores.pictures,
        "notes": comparison.notes,
        "provenance": provenance(comparison.runs),
        "statistics": {
            "ci95": f"percentile bootstrap over pictures, {statistics.RESAMPLES} resamples",
            "p_adjusted": "sign-flip test over pictures, max-T over all runs and metrics",
            "seed": statistics.SEED,
        },
        "runs": {
            run.name: {
                "stage": run.info.get("stage"),
                "seed": run.info.get("seed"),
                "steps": run.info.get("steps"),
                "seconds": run.info.get("seconds"),
                "git_commit": run.info.get("git_commit"),
                "mean_rank": mean_rank,
                "metrics": {
                    metric: asdict(cell) for metric, cell in zip(metrics, cells, strict=True)
                },
                "differences": {
                    metric: asdict(each) for metric, each in zip(metrics, differences, strict=True)
                },
                "curves": {
                    name: {
                        "pairs_seen": curve.thinned(_CURVE_POINTS).pairs_seen.tolist(),
                        "values": curve.thinned(_CURVE_POINTS).values.tolist(),
                    }
                    for name, curve in run.curves.items()
                },
            }
            for run, cells, mean_rank, differences in rows
        },
    }


def write_comparison(comparison: Comparison, output: Path) -> None:
    """`comparison.md`, `comparison.json`, `differences.png` and `curves.png`."""
    content = json.dumps(as_json(comparison), indent=1, allow_nan=False)
    write_file(output / "comparison.json", f"{content}\n".encode())
    write_file(output / "comparison.md", comparison_markdown(comparison).encode())
    write_file(output / "differences.png", differences_picture(comparison))
    write_file(output / "curves.png", curves_picture(comparison.runs))
