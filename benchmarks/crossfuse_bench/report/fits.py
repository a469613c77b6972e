"""How cost grows with pixels, pairs per call and streams: straight lines through measured rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

LEAST = 3
"""Places along the axis; a line through two points always fits."""

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """One way in which work grows."""

    name: str
    kind: str
    """Of the rows that count."""
    across: Callable[[Row], float]
    cost: Callable[[Row], float | None]
    """What grows, in ms."""
    same: tuple[str, ...]
    """What must be equal for rows to lie on one line, beside the name."""
    what: str
    unit: str


def megapixels(row: Row) -> float:
    """Of one picture."""
    height, width = row["size"].split("x")
    return int(height) * int(width) / 1e6


AXES = (
    Axis(
        "pixels", "engine", megapixels, lambda row: row["p50"],
        ("batch", "threads", "precision", "device", "launch"), "a call (p50)", "megapixel",
    ),
    Axis(
        "batch", "engine", lambda row: row["batch"], lambda row: row["p50"],
        ("size", "threads", "precision", "device", "launch"), "a call (p50)", "pair of a batch",
    ),
    Axis(
        "streams", "video", lambda row: row["streams"],
        lambda row: 1e3 * row["streams"] / row["throughput"],
        ("size",), "a frame of every stream", "stream",
    ),
)  # fmt: skip


def fits(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Along each axis: points [place, ms], and slope, offset and R2 of the line through them."""
    found = []
    for axis in AXES:
        groups: defaultdict[tuple[Any, ...], list[Row]] = defaultdict(list)
        for row in rows:
            if row["measured"] and row["kind"] == axis.kind and axis.cost(row) is not None:
                groups[tuple(row.get(name) for name in ("name", *axis.same))].append(row)
        for key, group in groups.items():
            points = sorted((float(axis.across(row)), float(axis.cost(row) or 0)) for row in group)
            if len({place for place, _ in points}) >= LEAST:
                named = zip(("name", *axis.same), key, strict=True)
                same = {name: value for name, value in named if value is not None}
                found.append({"axis": axis.name, "same": same, **_line(points)})
    return found


def subject(fit: Mapping[str, Any]) -> str:
    """What the rows of a fit have in common."""
    same = dict(fit["same"])
    if "batch" in same:
        same["batch"] = f"batch {same['batch']}"
    if "threads" in same:
        same["threads"] = f"{same['threads']} threads"
    return ", ".join(map(str, same.values()))


def formula(fit: Mapping[str, Any]) -> str:
    """The line."""
    unit = next(each.unit for each in AXES if each.name == fit["axis"])
    sign = "+" if fit["offset"] >= 0 else "-"
    return (
        f"{fit['slope']:.3g} ms per {unit} {sign} {abs(fit['offset']):.3g} ms, R2 {fit['r2']:.3f}"
    )


def fit_sentence(fit: Mapping[str, Any]) -> str:
    """One line for people."""
    what = next(each.what for each in AXES if each.name == fit["axis"])
    return (
        f"Cost over {fit['axis']}, {subject(fit)}: {what} takes {formula(fit)} "
        f"({len(fit['points'])} points)"
    )


def _line(points: Sequence[tuple[float, float]]) -> dict[str, Any]:
    places, costs = (np.array(values) for values in zip(*points, strict=True))
    slope, offset = np.polyfit(places, costs, 1)
    rest = float(np.sum((costs - slope * places - offset) ** 2))
    spread = float(np.sum((costs - costs.mean()) ** 2))
    return {
        "points": [list(point) for point in points],
        "slope": float(slope),
        "offset": float(offset),
        "r2": 1 - rest / spread if spread else 1.0,
    }
