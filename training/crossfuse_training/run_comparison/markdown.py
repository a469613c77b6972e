"""A comparison as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from crossfuse._version import __version__
from crossfuse.evaluation.statistics import RESAMPLES, SIGNIFICANCE
from crossfuse.evaluation.wording import counted, interval, mean_rank, number, probability, rank
from crossfuse_training.run_comparison.metric_names import arrow, higher_is_better
from crossfuse_training.run_comparison.pictures import verdict
from crossfuse_training.run_comparison.provenance import provenance
from crossfuse_training.run_comparison.run_folder import Run
from crossfuse_training.run_comparison.tables import bullets, table

if TYPE_CHECKING:
    from crossfuse_training.run_comparison.comparison import Comparison

_SHARES = (0.25, 0.5, 0.75, 1.0)


def comparison_markdown(comparison: Comparison) -> str:
    """Scores, intervals, differences from the first run, and curves at equal pairs seen."""
    reference = comparison.runs[0].name
    blocks = [
        "# Runs compared",
        f"{counted(len(comparison.runs), 'run')} on "
        f"{counted(len(comparison.scores.pictures), 'common held-out picture')}, "
        f"crossfuse {__version__}.",
        _runs(comparison),
        bullets(provenance(comparison.runs)),
        *((bullets(f"**Note:** {note}" for note in comparison.notes),) if comparison.notes else ()),
        "## Held-out metrics",
        "Mean ± standard deviation over pictures and, in brackets, rank; ↑ higher is better, "
        "↓ lower is better.",
        _means(comparison),
        "## 95 % intervals of the means",
        f"Percentile bootstrap over pictures, {RESAMPLES} resamples.",
        _intervals(comparison),
        f"## Differences from {reference}, picture by picture",
        "p is that of the two-sided sign-flip test, corrected for all rows of this table; a "
        f"difference counts where it is below {SIGNIFICANCE:g}. One run each says nothing about "
        "how much the seed alone changes: `crossfuse ablate` measures that.",
        _differences(comparison),
        "![differences](differences.png)",
        "## Curves at equal pairs seen",
        "Straight lines between the measured points; a dash where a run has no point there.",
        _curves(comparison.runs),
        "![curves](curves.png)",
    ]
    return "\n\n".join(blocks) + "\n"


def _runs(comparison: Comparison) -> str:
    rows = []
    for run in comparison.runs:
        info = run.info
        seconds = info.get("seconds")
        words = f"{seconds:.0f}" if isinstance(seconds, int | float) else "-"
        entry = [str(info.get(key, "-")) for key in ("stage", "seed", "steps")]
        rows.append([run.name, *entry, words, str(info.get("git_commit", "-"))[:10]])
    return table(["run", "stage", "seed", "steps", "seconds", "commit"], rows)


def _means(comparison: Comparison) -> str:
    header = [f"{metric} {arrow(metric)}" for metric in comparison.scores.metrics]
    rows = []
    for run, cells, place in zip(
        comparison.runs, comparison.cells, comparison.mean_ranks, strict=True
    ):
        texts = [f"{number(c.mean)} ± {number(c.std)} ({rank(c.rank)})" for c in cells]
        rows.append([run.name, mean_rank(place), *texts])
    return table(["run", "mean rank ↓", *header], rows)


def _intervals(comparison: Comparison) -> str:
    rows = [
        [metric, *(interval(cells[column].interval) for cells in comparison.cells)]
        for column, metric in enumerate(comparison.scores.metrics)
    ]
    return table(["metric", *(run.name for run in comparison.runs)], rows)


def _differences(comparison: Comparison) -> str:
    rows = []
    for run, differences in list(zip(comparison.runs, comparison.differences, strict=True))[1:]:
        for metric, each in zip(comparison.scores.metrics, differences, strict=True):
            outcome = verdict(each, bool(higher_is_better([metric])[0]))
            cells = [number(each.mean), interval(each.interval), probability(each.p_adjusted)]
            rows.append([run.name, metric, str(each.pictures), *cells, outcome])
    return table(["run", "metric", "pictures", "difference", "95 % interval", "p", ""], rows)


def _curves(runs: Sequence[Run]) -> str:
    names = list(dict.fromkeys(name for run in runs for name in run.curves))
    rows = []
    for name in names:
        curves = [run.curves.get(name) for run in runs]
        last = min(float(curve.pairs_seen[-1]) for curve in curves if curve is not None)
        for share in _SHARES:
            seen = round(share * last)
            at = [curve.at(seen) if curve is not None else math.nan for curve in curves]
            texts = [number(value if math.isfinite(value) else None) for value in at]
            rows.append([name, f"{seen:,}", *texts])
    return table(["quantity", "pairs seen", *(run.name for run in runs)], rows)
