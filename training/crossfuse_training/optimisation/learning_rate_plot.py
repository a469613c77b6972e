"""The curve of a learning-rate search as a picture."""

from __future__ import annotations

import math
from itertools import takewhile
from pathlib import Path

from crossfuse.errors import OutputError
from crossfuse_training.charts.canvas import GRID, MUTED, SERIES, WIDTH, Canvas
from crossfuse_training.charts.scale import Scale, padded
from crossfuse_training.optimisation.learning_rate_finder import RateCurve

_HEIGHT = 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 30, 80, 70


def save_plot(curve: RateCurve, path: Path) -> None:
    """Write a PNG: loss over learning rate (logarithmic), smoothed loss, and the suggestion."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(draw(curve))
    except OSError as error:
        raise OutputError(f"{path}: plot not written: {error}") from error


def draw(curve: RateCurve) -> bytes:
    """The PNG's content."""
    canvas = Canvas(_HEIGHT)
    top, bottom = _TOP, _HEIGHT - _BOTTOM
    exponents = [math.log10(rate) for rate in curve.rates]
    across = Scale(exponents[0], exponents[-1], _LEFT, WIDTH - _RIGHT)
    # The last losses shoot up; a scale with room for them would flatten the part that matters.
    lowest, first = min(curve.losses), curve.smoothed[0]
    up = Scale(*padded([lowest, first + (first - lowest)]), bottom, top)
    _draw_axes(canvas, across, up)
    for values, colour, thickness in (
        (curve.losses, SERIES[4], 1),
        (curve.smoothed, SERIES[0], 3),
    ):
        shown = list(takewhile(lambda value: value <= up.high, values))
        points = [
            (across.place(exponent), up.place(value))
            for exponent, value in zip(exponents, shown, strict=False)
        ]
        canvas.path(points, colour, thickness)
    x = max(_LEFT, across.place(math.log10(curve.suggestion)))
    canvas.line((x, top), (x, bottom), SERIES[1], 2)
    canvas.text(
        (16, 24),
        f"Suggested learning rate {curve.suggestion:.2g}, a tenth of where the loss is lowest",
        size=16,
        bold=True,
    )
    for column, (label, colour) in enumerate(
        (("loss of each step", SERIES[4]), ("smoothed", SERIES[0]), ("suggestion", SERIES[1]))
    ):
        start = 16 + 220 * column
        canvas.line((start, 54), (start + 26, 54), colour, 3)
        canvas.text((start + 34, 54), label)
    return canvas.png()


def _draw_axes(canvas: Canvas, across: Scale, up: Scale) -> None:
    left, right = _LEFT, WIDTH - _RIGHT
    top, bottom = _TOP, _HEIGHT - _BOTTOM
    for tick in up.ticks(7):
        y = up.place(tick)
        canvas.line((left, y), (right, y), GRID)
        canvas.text((left - 8, y), f"{tick:g}", size=13, align="right")
    for exponent in range(math.ceil(across.low), math.floor(across.high) + 1):
        x = across.place(exponent)
        canvas.line((x, top), (x, bottom), GRID)
        canvas.text((x, bottom + 15), f"1e{exponent}", size=13, align="centre")
    middle = (left + right) / 2
    canvas.text((middle, bottom + 40), "learning rate", size=13, align="centre", colour=MUTED)
