"""An evaluation as plain data, for `summary.json` and `--json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from crossfuse._version import __version__
from crossfuse.evaluation import statistics
from crossfuse.evaluation.detections import DetectionScore
from crossfuse.evaluation.scoring import Evaluation

SCHEMA_VERSION = 1


def summary(evaluation: Evaluation, detections: Sequence[DetectionScore]) -> dict[str, Any]:
    """JSON without NaN: what is unknown is null."""
    standings = evaluation.standings
    return {
        "schema": SCHEMA_VERSION,
        "crossfuse": __version__,
        "profile": evaluation.profile,
        "ir": str(evaluation.reader.ir.path),
        "vis": str(evaluation.reader.vis.path),
        "pictures": len(evaluation.table.images),
        "methods": {
            standing.method.name: {
                "kind": standing.method.kind,
                "source": standing.method.source,
                "scored": standing.scored,
                "failed": standing.failed,
                "mean_rank": standing.mean_rank,
                "metrics": {
                    metric: {
                        "mean": cell.mean,
                        "std": cell.std,
                        "ci95": cell.interval,
                        "defined": cell.defined,
                        "undefined": cell.undefined,
                        "rank": cell.rank,
                    }
                    for metric, cell in standing.cells.items()
                },
            }
            for standing in standings.methods
        },
        "metrics": [
            {**asdict(metric), "ranked_pictures": standings.ranked_pictures[metric.name]}
            for metric in evaluation.descriptions
        ],
        "comparisons": [
            {
                "first": comparison.first,
                "second": comparison.second,
                "metric": comparison.metric,
                "pictures": comparison.pictures,
                "difference": comparison.difference,
                "ci95": comparison.interval,
                "p": comparison.p,
                "p_adjusted": comparison.p_adjusted,
                "better": comparison.better,
            }
            for comparison in standings.comparisons
        ],
        "statistics": {
            "ci95": "percentile bootstrap over pictures",
            "resamples": statistics.RESAMPLES,
            "p": "two-sided sign-flip permutation of the picture-wise differences",
            "sign_flips": statistics.SIGN_FLIPS,
            "p_adjusted": "single-step max-T over all comparisons",
            "significance": statistics.SIGNIFICANCE,
            "seed": statistics.SEED,
        },
        "problems": [problem._asdict() for problem in evaluation.problems],
        "undefined": [
            {"image": image, "method": method, "metrics": metrics}
            for image, method, metrics in evaluation.table.undefined()
        ],
        "detections": [
            {
                "name": score.name,
                "source": score.source,
                "boxes": score.detections,
                "mAP": score.map,
                "mAP50": score.map50,
                "mAP75": score.map75,
            }
            for score in detections
        ],
    }
