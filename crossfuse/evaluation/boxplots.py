"""Box plots as inline SVG, one per metric, coloured by the style sheet around them."""

from __future__ import annotations

import math
from html import escape

import numpy as np
from numpy.typing import NDArray

from crossfuse.evaluation.scoring import Evaluation
from crossfuse.evaluation.wording import arrow, number

WIDTH = 380
LABELS = 138
RIGHT = 14
TOP = 8
ROW = 24
AXIS = 26
LONGEST_LABEL = 17


def box_plots(evaluation: Evaluation) -> list[str]:
    """One figure per metric: quartiles, median, mean, 5th and 95th percentile, extremes."""
    return [_figure(evaluation, column) for column in range(len(evaluation.descriptions))]


def _figure(evaluation: Evaluation, column: int) -> str:
    table, description = evaluation.table, evaluation.descriptions[column]
    values = table.values[:, :, column]
    defined = values[np.isfinite(values)]
    if len(defined) == 0:
        drawing = '<p class="muted">undefined on every picture</p>'
    else:
        scale = _Scale(float(defined.min()), float(defined.max()))
        height = TOP + ROW * len(evaluation.methods) + AXIS
        parts = [scale.axis(height)]
        for row, method in enumerate(evaluation.methods):
            kind = "baseline" if method.is_baseline else "own"
            middle = TOP + ROW * row + ROW / 2
            parts.append(f'<g class="{kind}">{_label(method.name, middle)}')
            parts.append(_box(values[:, row], table.images, scale, middle))
            parts.append("</g>")
        title = escape(f"Box plot of {description.name}, one box per method")
        drawing = (
            f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{title}">'
            f"{''.join(parts)}</svg>"
        )
    name = f"{escape(description.name)} {arrow(description)}"
    return f'<figure class="plot"><figcaption>{name}</figcaption>{drawing}</figure>'


class _Scale:
    """Values to horizontal positions."""

    def __init__(self, low: float, high: float) -> None:
        margin = 0.03 * (high - low) or max(abs(high), 1.0) * 0.03
        self._low, self._high = low - margin, high + margin

    def place(self, value: float) -> float:
        share = (value - self._low) / (self._high - self._low)
        return round(LABELS + share * (WIDTH - LABELS - RIGHT), 1)

    def axis(self, height: int) -> str:
        bottom = height - AXIS
        lines = []
        for tick in _ticks(self._low, self._high):
            x = self.place(tick)
            lines.append(
                f'<line class="grid" x1="{x}" x2="{x}" y1="{TOP}" y2="{bottom}"/>'
                f'<text class="tick" x="{x}" y="{bottom + 16}">{tick:g}</text>'
            )
        return "".join(lines)


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers."""
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough)
    first = math.ceil(low / step)
    # Rounded because multiples of a tenth are no exact floats.
    return [float(f"{n * step:.10g}") for n in range(first, math.floor(high / step) + 1)]


def _label(name: str, middle: float) -> str:
    short = name if len(name) <= LONGEST_LABEL else name[: LONGEST_LABEL - 1] + "…"
    return (
        f'<text class="label" x="{LABELS - 8}" y="{middle + 4:g}">{escape(short)}'
        f"<title>{escape(name)}</title></text>"
    )


def _box(values: NDArray[np.float64], images: list[str], scale: _Scale, middle: float) -> str:
    known = np.flatnonzero(np.isfinite(values))
    if len(known) == 0:
        return f'<text class="none" x="{LABELS + 4}" y="{middle + 4:g}">undefined</text>'
    defined = values[known]
    quantiles = np.quantile(defined, [0.05, 0.25, 0.5, 0.75, 0.95]).tolist()
    low, left, median, right, high = map(scale.place, quantiles)
    mean = scale.place(float(defined.mean()))
    words = f"median {number(quantiles[2])}, quartiles {number(quantiles[1])} to "
    words += f"{number(quantiles[3])}, mean {number(float(defined.mean()))}, {len(known)} pictures"
    parts = [
        f'<line class="whisker" x1="{low}" x2="{high}" y1="{middle:g}" y2="{middle:g}"/>',
        f'<rect class="box" x="{left}" y="{middle - 7:g}" width="{max(right - left, 1):.1f}" '
        f'height="14"><title>{words}</title></rect>',
        f'<line class="median" x1="{median}" x2="{median}" y1="{middle - 7:g}" '
        f'y2="{middle + 7:g}"/>',
        f'<path class="mean" d="M{mean} {middle - 4:g}l4 4-4 4-4-4z"/>',
    ]
    for index in {int(known[defined.argmin()]), int(known[defined.argmax()])}:
        x = scale.place(float(values[index]))
        title = escape(f"{images[index]}: {number(float(values[index]))}")
        parts.append(
            f'<circle class="extreme" cx="{x}" cy="{middle:g}" r="2.6">'
            f"<title>{title}</title></circle>"
        )
    return "".join(parts)
