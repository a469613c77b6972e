"""A study's results as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from crossfuse.evaluation.wording import number
from crossfuse_training.ablation.analysis import Analysis, Effect, Result
from crossfuse_training.charts import (
    Bar,
    BarPanel,
    HeatCell,
    Line,
    LinePanel,
    draw_bars,
    draw_heat_map,
    draw_lines,
)
from crossfuse_training.run_comparison.metric_names import direction_words
from crossfuse_training.run_comparison.run_log import HELD_OUT_LOSS

# As many as there are colours.
_LINES = 8
_POINTS = 60
# A difference of so many noise floors has the full colour.
_FULL = 3.0


def bars_picture(analysis: Analysis) -> bytes:
    """Differences from the baseline; error bars are the spread over seeds."""
    study = analysis.plan.study
    others = [r for r in analysis.results if r.configuration.name != study.baseline]
    panels = []
    for column, metric in enumerate(analysis.scores.metrics):
        bars = [_bar(result.effects[column]) for result in others]
        known_floors = [r.effects[column].floor for r in others]
        # With unequal numbers of seeds the floors differ: the widest is drawn.
        noise = max((floor for floor in known_floors if floor is not None), default=None)
        panels.append(BarPanel(f"{metric} ({direction_words(metric)})", bars, noise))
    title = f"{study.name}: difference from {study.baseline} (bars: std over seeds, grey: noise)"
    return draw_bars(title, [result.configuration.name for result in others], panels)


def _bar(effect: Effect) -> Bar:
    return Bar(
        effect.difference.mean if effect.difference is not None else None,
        effect.std,
        effect.verdict,
    )


def heat_map_picture(analysis: Analysis) -> bytes:
    """Means of all configurations and metrics, coloured where an effect is shown."""
    study, metrics = analysis.plan.study, analysis.scores.metrics
    rows = []
    for result in analysis.results:
        cells = [HeatCell(number(effect.mean), _strength(effect)) for effect in result.effects]
        name = result.configuration.name
        rows.append((name + (" (base)" if name == study.baseline else ""), cells))
    legend = "Blue: better than the baseline, orange: worse, grey: no effect shown; best rank first"
    return draw_heat_map(f"{study.name}: held-out means over seeds", legend, metrics, rows)


def _strength(effect: Effect) -> float:
    if effect.verdict == "not shown" or effect.difference is None:
        return 0.0
    size = abs(effect.difference.mean or 0.0) / ((effect.floor or 0.0) * _FULL or 1.0)
    sign = 1 if effect.verdict == "better" else -1
    return sign * float(np.clip(size, 0.35, 1.0))


def curves_picture(analysis: Analysis) -> bytes:
    """Held-out curves of the best configurations and the baseline, means over seeds.

    The held-out loss is one of them only where all have the same loss.
    """
    study = analysis.plan.study
    best = [r for r in analysis.results if r.configuration.name != study.baseline][: _LINES - 1]
    base = [r for r in analysis.results if r.configuration.name == study.baseline]
    shown = [*base, *best]
    quantities = [
        name
        for name in dict.fromkeys(
            name for result in shown for _, run in result.runs for name in run.curves
        )
        if name in analysis.scores.metrics
    ]
    losses = [run.recipe.get("loss") for result in shown for _, run in result.runs]
    if not quantities or all(loss == losses[0] for loss in losses):
        quantities.insert(0, HELD_OUT_LOSS)
    panels = [
        LinePanel(quantity, [_mean_curve(result, quantity) for result in shown])
        for quantity in quantities
    ]
    title = f"{study.name}: on held-out pictures while training, means over seeds"
    return draw_lines(title, panels)


def _mean_curve(result: Result, quantity: str) -> Line:
    """Over the pairs that all seeds have seen."""
    curves = [run.curves[quantity] for _, run in result.runs if quantity in run.curves]
    name = result.configuration.name
    if not curves:
        return Line(name, [], [])
    first = min(curves, key=lambda curve: float(curve.pairs_seen[-1]))
    seen: Sequence[float] = first.begun().thinned(_POINTS).pairs_seen.tolist()
    return Line(name, seen, [float(np.nanmean([curve.at(at) for curve in curves])) for at in seen])
