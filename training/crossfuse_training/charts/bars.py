"""Differences from a baseline as bars: one panel for each metric, one row for each method.

A bar starts at 0, the baseline, so its length is the effect; the axis hides no part of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from crossfuse_training.charts.canvas import (
    BAND,
    GRID,
    INK,
    MUTED,
    SERIES,
    WIDTH,
    Canvas,
    Colour,
    shortened,
)
from crossfuse_training.charts.scale import Scale, padded

_PANELS_IN_A_ROW = 3
_LABELS = 240
_LABEL_CHARACTERS = 30
_GAP = 18
_ROW = 22
_HEAD = 30
_FOOT = 34

Verdict = Literal["better", "worse", "not shown"]
_COLOURS: dict[Verdict, Colour] = {
    "better": SERIES[0],
    "worse": SERIES[1],
    "not shown": (170, 170, 170),
}


@dataclass(frozen=True)
class Bar:
    """The effect on one metric."""

    value: float | None
    error: float | None
    """Half of the error bar; None draws none."""
    verdict: Verdict
    """Grey unless an effect is shown."""


@dataclass(frozen=True)
class BarPanel:
    """One metric."""

    title: str
    bars: Sequence[Bar]
    """In the order of the labels."""
    noise: float | None
    """Half of the grey band around 0, in which nothing is shown."""


def draw_bars(title: str, labels: Sequence[str], panels: Sequence[BarPanel]) -> bytes:
    """The PNG."""
    rows = [
        panels[first : first + _PANELS_IN_A_ROW]
        for first in range(0, len(panels), _PANELS_IN_A_ROW)
    ]
    block = _HEAD + _ROW * len(labels) + _FOOT
    canvas = Canvas(44 + block * len(rows))
    canvas.text((16, 22), title, size=16, bold=True)
    width = (WIDTH - _LABELS - 12) / _PANELS_IN_A_ROW
    for number, row in enumerate(rows):
        top = 44 + number * block
        for place, label in enumerate(labels):
            middle = top + _HEAD + (place + 0.5) * _ROW
            name = shortened(label, _LABEL_CHARACTERS)
            canvas.text((_LABELS - 10, middle), name, align="right")
        for column, panel in enumerate(row):
            left = _LABELS + column * width
            _draw_panel(canvas, panel, left, left + width - _GAP, top)
    return canvas.png()


def _draw_panel(canvas: Canvas, panel: BarPanel, left: float, right: float, top: float) -> None:
    ends = [0.0, *((panel.noise, -panel.noise) if panel.noise is not None else ())]
    for bar in panel.bars:
        if bar.value is not None:
            ends += [bar.value - (bar.error or 0), bar.value + (bar.error or 0)]
    low, high = padded(ends)
    scale = Scale(low, high, left, right)
    start, end = top + _HEAD, top + _HEAD + _ROW * len(panel.bars)
    canvas.text(((left + right) / 2, top + 14), panel.title, align="centre", bold=True)
    if panel.noise is not None:
        canvas.rectangle((scale.place(-panel.noise), start), (scale.place(panel.noise), end), BAND)
    for tick in scale.ticks(4):
        x = scale.place(tick)
        canvas.line((x, start), (x, end), GRID)
        canvas.text((x, end + 13), f"{tick:+g}" if tick else "0", size=13, align="centre")
    for row, bar in enumerate(panel.bars):
        middle = start + (row + 0.5) * _ROW
        if bar.value is None:
            canvas.text((scale.place(0) + 4, middle), "no result", size=13, colour=MUTED)
            continue
        ends_of_bar = (scale.place(0), middle - 6), (scale.place(bar.value), middle + 6)
        canvas.rectangle(*ends_of_bar, _COLOURS[bar.verdict])
        if bar.error:
            first, last = scale.place(bar.value - bar.error), scale.place(bar.value + bar.error)
            canvas.line((first, middle), (last, middle))
            for x in (first, last):
                canvas.line((x, middle - 4), (x, middle + 4))
    canvas.line((scale.place(0), start), (scale.place(0), end), INK)
