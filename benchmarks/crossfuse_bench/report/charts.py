"""Which charts a report shows, and which of its rows are in them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from crossfuse_bench.report.fits import formula, subject
from crossfuse_bench.report.plots import COLOURS, Series, line_chart, stacked_bars

AXIS_NAMES = {"pixels": "megapixels", "batch": "pairs per call", "streams": "streams at once"}
TITLES = {
    "engine": "in process, share of calls that took no longer",
    "serve": "served, share of calls that took no longer",
    "video": "video, share of frames that took no longer",
}

Row = Mapping[str, Any]
Points = list[tuple[float, float]]


def all_charts(parts: Sequence[tuple[str, Sequence[Row]]], extra: Mapping[str, Any]) -> str:
    """All of them as HTML; what was not measured has none."""
    measured = [(kind, [row for row in rows if row["measured"]]) for kind, rows in parts]
    rows = [row for _, found in measured for row in found]
    return "".join(
        (
            *(
                _curves(f"Part {number}: " if len(parts) > 1 else "", kind, found)
                for number, (kind, found) in enumerate(measured, 1)
            ),
            _closed_loops(rows, "throughput", "pairs per second"),
            _closed_loops(rows, "p50", "p50, ms"),
            _open_loops(rows),
            _phases(rows),
            *_scaling(extra["fits"]),
        )
    )


def _curves(part: str, kind: str, rows: Sequence[Row]) -> str:
    series = [
        Series(_short(row), [(max(x, 1e-3), y) for x, y in row["curve"]])
        for row in _one_of_each(rows)
        if "curve" in row
    ]
    title = part + TITLES[kind] if part else TITLES[kind].capitalize()
    return line_chart(title, "ms", "%", series[:COLOURS], log=True)


def _closed_loops(rows: Sequence[Row], key: str, unit: str) -> str:
    """Throughput or latency over concurrency."""
    groups: defaultdict[str, Points] = defaultdict(list)
    for row in rows:
        if row["kind"] == "closed loop" and row[key] is not None:
            groups[row["encoding"]].append((row["concurrency"], row[key]))
    title = f"Closed loop: {unit.partition(',')[0]}; service time, not what an open world sees"
    return _lines(title, "callers", unit, groups)


def _open_loops(rows: Sequence[Row]) -> str:
    """Latency over the rate that was offered; the bend is where it is no longer kept."""
    groups: defaultdict[str, Points] = defaultdict(list)
    for row in rows:
        if row["kind"] in ("open loop", "stream"):
            for key in ("p50", "p99"):
                if row[key] is not None:
                    name = f"{key}, {row['mode']} {row['arrivals']}, {row['encoding']}"
                    groups[name].append((row["rate"], row[key]))
    title = "Open loop: latency from the planned start"
    return _lines(title, "offered, per second", "ms", groups, log_up=True)


def _lines(
    title: str, across: str, up: str, groups: Mapping[str, Points], *, log_up: bool = False
) -> str:
    """Nothing where no line would have two points."""
    longest = sorted(groups.items(), key=lambda group: -len(group[1]))
    series = [Series(name, sorted(points)) for name, points in longest if len(points) > 1]
    return line_chart(title, across, up, series[:COLOURS], log=False, log_up=log_up)


def _phases(rows: Sequence[Row]) -> str:
    bars = [
        (_short(row), list(row["phases"].items()))
        for row in _one_of_each(row for row in rows if row.get("phases"))
    ]
    return stacked_bars("Where the time of a call goes, means in ms", bars)


def _scaling(fits: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Cost over pixels, batch or streams, each with the line through it."""
    for fit in fits:
        points = [(x, y) for x, y in fit["points"]]
        ends = (points[0][0], points[-1][0])
        line = [(x, fit["slope"] * x + fit["offset"]) for x in ends]
        yield line_chart(
            f"Cost over {AXIS_NAMES[fit['axis']]}: {subject(fit)}",
            AXIS_NAMES[fit["axis"]],
            "ms",
            [Series("measured", points), Series(formula(fit), line, dashed=True)],
            log=False,
        )


def _one_of_each(rows: Iterable[Row]) -> list[Row]:
    """Of a server one row per scenario and encoding, the lowest rate; of others every row."""
    found: dict[tuple[Any, ...], Row] = {}
    for number, row in enumerate(rows):
        if row["kind"] in ("open loop", "stream"):
            key: tuple[Any, ...] = (row["mode"], row["arrivals"], row["encoding"])
        else:
            key = (number,)
        if not row.get("search"):
            found.setdefault(key, row)
    return list(found.values())


def _short(row: Row) -> str:
    if row["kind"] in ("engine", "rival"):
        batch = f", batch {row['batch']}" if row["batch"] != 1 else ""
        launch = f", {row['launch']}" if "launch" in row else ""
        return f"{row['name']} {row['size']}{batch}{launch}"
    if row["kind"] == "video":
        return f"{row['name']} {row['mode']}"
    if row["kind"] == "closed loop":
        callers = f"{row['concurrency']} caller{'s' * (row['concurrency'] > 1)}"
        return f"closed, {callers}, {row['encoding']}"
    return f"{row['mode']} {row['rate']:.3g}/s {row['arrivals']}, {row['encoding']}"
