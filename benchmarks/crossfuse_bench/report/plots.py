"""Charts of a report as inline SVG, coloured by the style sheet around them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 560, 300
LEFT, RIGHT, TOP, BOTTOM = 56, 16, 12, 44
BAR, BAR_GAP, LABEL, TOTAL = 22, 10, 208, 62
FEW_MARKS = 3
COLOURS = 6
"""How many classes c0 ... c5 the style sheet has."""


@dataclass(frozen=True)
class Series:
    """One line: a name and its points."""

    name: str
    points: Sequence[tuple[float, float]]
    dashed: bool = False


def line_chart(
    title: str,
    across: str,
    up: str,
    series: Sequence[Series],
    *,
    log: bool,
    log_up: bool = False,
) -> str:
    """Lines over linear or logarithmic axes, with a legend; nothing where there is no point."""
    points = [point for one in series for point in one.points]
    if not points:
        return ""
    place_x = _axis([x for x, _ in points], LEFT, WIDTH - RIGHT, log=log)
    heights = [y for _, y in points] if log_up else [0.0, *(y for _, y in points)]
    place_y = _axis(heights, HEIGHT - BOTTOM, TOP, log=log_up)
    parts = [
        *_ticks_across([x for x, _ in points], place_x, log=log),
        *_ticks_up(heights, place_y, log=log_up),
        f'<text class="name" x="{(LEFT + WIDTH - RIGHT) / 2:.0f}" y="{HEIGHT - 6}" '
        f'text-anchor="middle">{escape(across)}</text>',
        f'<text class="name" transform="translate(13 {(TOP + HEIGHT - BOTTOM) / 2:.0f}) '
        f'rotate(-90)" text-anchor="middle">{escape(up)}</text>',
    ]
    for number, one in enumerate(series):
        path = " ".join(f"{place_x(x):.1f},{place_y(y):.1f}" for x, y in one.points)
        style = f"c{number % COLOURS}" + (" dashed" if one.dashed else "")
        parts.append(f'<polyline class="{style}" points="{path}"/>')
        if len(one.points) <= 12 and not one.dashed:
            parts.extend(
                f'<circle class="{style}" cx="{place_x(x):.1f}" cy="{place_y(y):.1f}" r="3">'
                f"<title>{x:.4g}, {y:.4g}</title></circle>"
                for x, y in one.points
            )
    legend = "".join(
        f'<li class="c{number % COLOURS}">{escape(one.name)}</li>'
        for number, one in enumerate(series)
    )
    return _figure(title, WIDTH, HEIGHT, parts) + f'<ul class="legend">{legend}</ul></figure>'


def stacked_bars(title: str, bars: Sequence[tuple[str, Sequence[tuple[str, float]]]]) -> str:
    """Horizontal bars of parts in ms, one bar per row; a legend names the parts."""
    if not bars:
        return ""
    longest = max(sum(value for _, value in parts) for _, parts in bars) or 1.0
    height = TOP + len(bars) * (BAR + BAR_GAP)
    drawn = []
    for row, (label, parts) in enumerate(bars):
        top, left = TOP + row * (BAR + BAR_GAP), float(LABEL)
        drawn.append(
            f'<text class="bar" x="{LABEL - 8}" y="{top + 15}" text-anchor="end">'
            f"{escape(label)}</text>"
        )
        for number, (name, value) in enumerate(parts):
            width = (WIDTH - RIGHT - LABEL - TOTAL) * value / longest
            drawn.append(
                f'<rect class="c{number % COLOURS}" x="{left:.1f}" y="{top}" width="{width:.1f}" '
                f'height="{BAR}"><title>{escape(name)}: {value:.3g} ms</title></rect>'
            )
            left += width
        total = sum(value for _, value in parts)
        drawn.append(f'<text class="bar" x="{left + 6:.1f}" y="{top + 15}">{total:.3g} ms</text>')
    legend = "".join(
        f'<li class="c{number % COLOURS}">{escape(name)}</li>'
        for number, (name, _) in enumerate(bars[0][1])
    )
    return _figure(title, WIDTH, height, drawn) + f'<ul class="legend">{legend}</ul></figure>'


def _figure(title: str, width: int, height: int, parts: Sequence[str]) -> str:
    return (
        f"<figure><figcaption>{escape(title)}</figcaption>"
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">'
        f"{''.join(parts)}</svg>"
    )


def _axis(
    values: Sequence[float], start: float, end: float, *, log: bool
) -> Callable[[float], float]:
    low, high = _bounds(values, log=log)

    def place(value: float) -> float:
        at = math.log10(value) if log else value
        return start + (end - start) * (at - low) / (high - low)

    return place


def _bounds(values: Sequence[float], *, log: bool) -> tuple[float, float]:
    low, high = min(values), max(values)
    if log:
        low, high = math.log10(low), math.log10(high)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _steps(low: float, high: float) -> list[float]:
    """About five round numbers between two."""
    step = 10 ** math.floor(math.log10((high - low) / 5))
    step *= next(factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 6)
    first = math.ceil(low / step - 1e-9)
    return [step * number for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _ticks_across(
    values: Sequence[float], place: Callable[[float], float], *, log: bool
) -> list[str]:
    marks = _marks(values, log=log)
    bottom = HEIGHT - BOTTOM
    return [
        f'<line class="grid" x1="{place(mark):.1f}" y1="{TOP}" x2="{place(mark):.1f}" '
        f'y2="{bottom}"/><text x="{place(mark):.1f}" y="{bottom + 15}" text-anchor="middle">'
        f"{mark:.4g}</text>"
        for mark in marks
    ]


def _ticks_up(values: Sequence[float], place: Callable[[float], float], *, log: bool) -> list[str]:
    return [
        f'<line class="grid" x1="{LEFT}" y1="{place(mark):.1f}" x2="{WIDTH - RIGHT}" '
        f'y2="{place(mark):.1f}"/><text x="{LEFT - 6}" y="{place(mark) + 4:.1f}" '
        f'text-anchor="end">{mark:.4g}</text>'
        for mark in _marks(values, log=log)
    ]


def _marks(values: Sequence[float], *, log: bool) -> list[float]:
    """Where an axis has its numbers."""
    low, high = _bounds(values, log=log)
    if not log:
        return _steps(low, high)
    powers = range(math.floor(low), math.ceil(high) + 1)
    every = [digit * 10.0**power for power in powers for digit in (1, 2, 5)]
    marks = [mark for mark in every if low - 1e-9 <= math.log10(mark) <= high + 1e-9]
    if len(marks) < FEW_MARKS:  # of a range that narrow, others are as round
        return _steps(10**low, 10**high)
    return marks[:: 1 + len(marks) // 8]
