"""A comparison as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from crossfuse.evaluation.statistics import SIGNIFICANCE
from crossfuse_training.charts import (
    Bar,
    BarPanel,
    Line,
    LinePanel,
    draw_bars,
    draw_lines,
)
from crossfuse_training.charts.bars import Verdict
from crossfuse_training.run_comparison.differences import Difference
from crossfuse_training.run_comparison.metric_names import direction_words, higher_is_better
from crossfuse_training.run_comparison.run_folder import Run
from crossfuse_training.run_comparison.run_log import HELD_OUT_LOSS, TRAINING_LOSS

if TYPE_CHECKING:
    from crossfuse_training.run_comparison.comparison import Comparison

_POINTS = 120


def differences_picture(comparison: Comparison) -> bytes:
    """Each run's difference from the first, with the 95 % interval over pictures."""
    metrics = comparison.scores.metrics
    panels = []
    for column, metric in enumerate(metrics):
        higher = bool(higher_is_better([metric])[0])
        bars = [_bar(row[column], higher) for row in comparison.differences[1:]]
        panels.append(BarPanel(f"{metric} ({direction_words(metric)})", bars, None))
    names = [run.name for run in comparison.runs]
    title = f"Difference from {names[0]}, held-out pictures, 95 % intervals"
    return draw_bars(title, names[1:], panels)


def _bar(difference: Difference, higher: bool) -> Bar:
    error = None
    if difference.interval is not None:
        error = (difference.interval[1] - difference.interval[0]) / 2
    return Bar(difference.mean, error, verdict(difference, higher))


def verdict(difference: Difference, higher: bool) -> Verdict:
    """Whether the pictures show the difference, and which way it goes."""
    sure = difference.p_adjusted is not None and difference.p_adjusted < SIGNIFICANCE
    if difference.mean is None or not sure:
        return "not shown"
    return "better" if (difference.mean > 0) == higher else "worse"


def curves_picture(runs: Sequence[Run]) -> bytes:
    """Losses, and what was measured on the way, over the pairs seen."""
    names = [name for run in runs for name in run.curves]
    measured = [n for n in dict.fromkeys(names) if n not in (HELD_OUT_LOSS, TRAINING_LOSS)]
    panels = []
    for quantity in (HELD_OUT_LOSS, TRAINING_LOSS, *measured):
        lines = []
        for run in runs:
            curve = run.curves.get(quantity)
            thin = curve.begun().thinned(_POINTS) if curve is not None else None
            seen = thin.pairs_seen.tolist() if thin is not None else []
            lines.append(Line(run.name, seen, thin.values.tolist() if thin is not None else []))
        panels.append(LinePanel(quantity, lines))
    return draw_lines("Curves over the pairs of pictures seen", panels)
