"""Methods x metrics: values as text, and how far each is from the baseline as colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossfuse_training.charts.canvas import (
    INK,
    MUTED,
    WIDTH,
    Canvas,
    Colour,
    shortened,
)

_LABELS = 250
_LABEL_CHARACTERS = 31
_ROW = 25
_HEAD = 74
_FOOT = 30
_BETTER: Colour = (0, 114, 178)
_WORSE: Colour = (213, 94, 0)
_NEUTRAL: Colour = (244, 244, 244)
# As strong as colours get: text on them stays readable.
_STRONGEST = 0.6


@dataclass(frozen=True)
class HeatCell:
    """One method on one metric."""

    text: str
    strength: float | None
    """-1 (clearly worse) to 1 (clearly better); None leaves the cell without colour."""


def draw_heat_map(
    title: str,
    legend: str,
    columns: Sequence[str],
    rows: Sequence[tuple[str, Sequence[HeatCell]]],
) -> bytes:
    """The PNG; `rows` are a label and its cells in the order of the columns."""
    canvas = Canvas(_HEAD + _ROW * len(rows) + _FOOT)
    canvas.text((16, 22), title, size=16, bold=True)
    width = min(120.0, (WIDTH - _LABELS - 12) / max(len(columns), 1))
    for number, column in enumerate(columns):
        centre = _LABELS + (number + 0.5) * width
        canvas.text((centre, _HEAD - 16), column, align="centre", bold=True)
    for place, (label, cells) in enumerate(rows):
        top = _HEAD + place * _ROW
        name = shortened(label, _LABEL_CHARACTERS)
        canvas.text((_LABELS - 10, top + _ROW / 2), name, align="right")
        for number, cell in enumerate(cells):
            left = _LABELS + number * width
            colour = _colour(cell.strength)
            canvas.rectangle((left + 1, top + 1), (left + width - 1, top + _ROW - 1), colour)
            ink = MUTED if cell.strength is None else INK
            middle = (left + width / 2, top + _ROW / 2)
            canvas.text(middle, cell.text, colour=ink, align="centre")
    foot = _HEAD + _ROW * len(rows) + 16
    canvas.text((16, foot), legend, size=13, colour=MUTED)
    return canvas.png()


def _colour(strength: float | None) -> Colour:
    """From orange through light grey to blue."""
    if strength is None:
        return (255, 255, 255)
    target = np.array(_BETTER if strength > 0 else _WORSE)
    share = _STRONGEST * min(abs(strength), 1.0)
    red, green, blue = np.rint((1 - share) * np.array(_NEUTRAL) + share * target).astype(int)
    return int(red), int(green), int(blue)
