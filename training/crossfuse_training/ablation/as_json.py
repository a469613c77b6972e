"""A study's results as plain data."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from crossfuse._version import __version__
from crossfuse.evaluation import statistics
from crossfuse.evaluation.statistics import known
from crossfuse_training.ablation import noise
from crossfuse_training.ablation.analysis import Analysis
from crossfuse_training.ablation.expansion import PlannedRun
from crossfuse_training.ablation.factor_effects import factor_effects
from crossfuse_training.ablation.notes import notes
from crossfuse_training.run_comparison.provenance import provenance

SCHEMA = 1


def as_json(analysis: Analysis) -> dict[str, Any]:
    """JSON without NaN: what is unknown is null."""
    study, scores = analysis.plan.study, analysis.scores
    found = analysis.noise
    return {
        "schema": SCHEMA,
        "crossfuse": __version__,
        "study": study.name,
        "recipe": study.recipe,
        "settings": dict(study.settings),
        "seeds": study.seeds,
        "rank_by": study.rank_by,
        "baseline": study.baseline,
        "pictures": scores.pictures,
        "notes": notes(analysis),
        "provenance": provenance([run for result in analysis.results for _, run in result.runs]),
        "noise": None
        if found is None
        else {
            "degrees_of_freedom": found.degrees,
            "std_of_one_run": {
                name: known(value)
                for name, value in zip(scores.metrics, found.std.tolist(), strict=True)
            },
        },
        "winners": {str(phase): each for phase, each in analysis.record.winners.items()},
        "ranking": [
            {
                "configuration": result.configuration.name,
                "phase": result.configuration.phase,
                "factors": dict(result.configuration.factors),
                "mean_rank": result.place.mean_rank,
                "tied_with": list(result.place.tied_with),
                "runs": [run.id for run, _ in result.runs],
                "metrics": {
                    name: asdict(effect)
                    for name, effect in zip(scores.metrics, result.effects, strict=True)
                },
            }
            for result in analysis.results
        ],
        "factor_effects": [
            {
                **asdict(effect),
                "differences": dict(zip(scores.metrics, effect.differences, strict=True)),
                "stds": dict(zip(scores.metrics, effect.stds, strict=True)),
            }
            for effect in factor_effects(analysis)
        ],
        "runs": [run_row(analysis, run) for run in analysis.plan.runs],
        "statistics": {
            "ci95": f"percentile bootstrap over pictures, {statistics.RESAMPLES} resamples",
            "p_adjusted": "sign-flip test over pictures, max-T over configurations and metrics",
            "floor": "pooled standard deviation of repetitions times Dunnett's factor at "
            f"{noise.CONFIDENCE:.0%}, over the configurations of one metric",
            "seed": statistics.SEED,
        },
    }


def run_row(analysis: Analysis, run: PlannedRun) -> dict[str, Any]:
    """A run, with its means over the pictures that all have."""
    entry = analysis.record.runs.get(run.id)
    return {
        "id": run.id,
        "phase": run.phase,
        "seed": run.seed,
        "factors": dict(run.factors),
        "status": "open" if run.is_open else analysis.record.status(run),
        "attempts": entry.attempts if entry else 0,
        "seconds": entry.seconds if entry else None,
        "error": entry.error if entry else None,
        "metrics": _metrics(analysis, run),
    }


def _metrics(analysis: Analysis, run: PlannedRun) -> dict[str, float | None]:
    """Means over the common pictures; empty where the run has no result."""
    scores = analysis.scores
    if run.id not in scores.runs:
        return {}
    means = scores.means[scores.runs.index(run.id)].tolist()
    return {name: known(value) for name, value in zip(scores.metrics, means, strict=True)}
