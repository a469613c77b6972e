"""Curves over the pairs of pictures seen: one panel for each quantity, one colour for each run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from crossfuse_training.charts.canvas import (
    GRID,
    MUTED,
    SERIES,
    WIDTH,
    Canvas,
    shortened,
)
from crossfuse_training.charts.scale import Scale, padded

_PANELS_IN_A_ROW = 2
_PANEL_HEIGHT = 300
_AXIS = 62
_HEAD = 32
_FOOT = 46
_LEGEND_ROW = 20
_LEGEND_COLUMNS = 3
_LEGEND_CHARACTERS = 36


@dataclass(frozen=True)
class Line:
    """One run or configuration."""

    label: str
    pairs_seen: Sequence[float]
    values: Sequence[float]


@dataclass(frozen=True)
class LinePanel:
    """One quantity; a line without points is left out of the panel but keeps its colour."""

    title: str
    lines: Sequence[Line]


def draw_lines(title: str, panels: Sequence[LinePanel]) -> bytes:
    """The PNG; all panels hold the same labels in the same order."""
    labels = [line.label for line in panels[0].lines]
    panel_rows = -(-len(panels) // _PANELS_IN_A_ROW)
    legend_rows = -(-len(labels) // _LEGEND_COLUMNS)
    legend = 40 + _LEGEND_ROW * legend_rows
    canvas = Canvas(legend + panel_rows * _PANEL_HEIGHT)
    canvas.text((16, 22), title, size=16, bold=True)
    _draw_legend(canvas, labels)
    width = WIDTH / _PANELS_IN_A_ROW
    for number, panel in enumerate(panels):
        left = number % _PANELS_IN_A_ROW * width
        top = legend + number // _PANELS_IN_A_ROW * _PANEL_HEIGHT
        _draw_panel(canvas, panel, left + _AXIS, left + width - 20, top)
    return canvas.png()


def _draw_legend(canvas: Canvas, labels: Sequence[str]) -> None:
    width = (WIDTH - 32) / _LEGEND_COLUMNS
    for number, label in enumerate(labels):
        x = 16 + number % _LEGEND_COLUMNS * width
        y = 48 + number // _LEGEND_COLUMNS * _LEGEND_ROW
        canvas.line((x, y), (x + 26, y), SERIES[number % len(SERIES)], 3)
        canvas.text((x + 34, y), shortened(label, _LEGEND_CHARACTERS))


def _draw_panel(canvas: Canvas, panel: LinePanel, left: float, right: float, top: float) -> None:
    start, end = top + _HEAD, top + _PANEL_HEIGHT - _FOOT
    canvas.text(((left + right) / 2, top + 16), panel.title, align="centre", bold=True)
    values = [value for line in panel.lines for value in line.values]
    if not values:
        canvas.text((left + 8, start + 20), "no points", colour=MUTED)
        return
    most = max(max(line.pairs_seen, default=0) for line in panel.lines)
    across = Scale(0, max(most, 1), left, right)
    up = Scale(*padded(values), end, start)
    for tick in up.ticks(7):
        y = up.place(tick)
        canvas.line((left, y), (right, y), GRID)
        canvas.text((left - 6, y), f"{tick:g}", size=13, align="right")
    for tick in across.ticks(5):
        canvas.text((across.place(tick), end + 13), f"{tick:,.0f}", size=13, align="centre")
    canvas.text(((left + right) / 2, end + 31), "pairs seen", size=13, align="centre", colour=MUTED)
    for number, line in enumerate(panel.lines):
        points = [
            (across.place(seen), up.place(value))
            for seen, value in zip(line.pairs_seen, line.values, strict=True)
        ]
        colour = SERIES[number % len(SERIES)]
        if len(points) > 1:
            canvas.path(points, colour)
        if len(points) <= 20:
            for point in points:
                canvas.dot(point, colour)
