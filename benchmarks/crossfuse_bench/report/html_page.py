"""A report as one HTML page that needs nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

import numpy as np

from crossfuse_bench.report.markdown import (
    conditions,
    extra_sentences,
    latency,
    machine_sentence,
    nodes_sentence,
    quality,
    remarks,
)
from crossfuse_bench.report.plots import Series, line_chart, stacked_bars

HEADS = ("what", "conditions", "n", "p50", "p90", "p99", "per second", "quality to fp32", "remarks")
MOST_CURVES = 6
LEAST_FITTED = 3
"""Sizes; a line through two points always fits."""


def html_page(document: Mapping[str, Any]) -> str:
    """The page."""
    here = files(__package__)
    template = Template((here / "page.html").read_text(encoding="utf-8"))
    identity = document["identity"]
    rows = [row for row in document["rows"] if row["measured"]]
    return template.substitute(
        style=(here / "page.css").read_text(encoding="utf-8"),
        title=escape(f"Latency of {identity['name']}:{identity['version']}"),
        kind=escape(document["kind"]),
        created=escape(document["created"]),
        tiles=_tiles(document),
        facts=_facts(document),
        table=_table(document["rows"]),
        plots="".join((_curves(rows), _load_curves(rows), _phases(rows), _scaling(rows))),
    )


def _tiles(document: Mapping[str, Any]) -> str:
    values = [
        (name, f"{document[name]:.4g} ms" if document[name] is not None else "not given",
         document["reasons"].get(name, "95 % interval in the table"))
        for name in ("p50", "p90", "p99")
    ]  # fmt: skip
    rate = document["throughput"]
    values.append(("per second", "not given" if rate is None else f"{rate:.4g}", "pairs"))
    return "".join(
        f'<div class="tile"><span>{name}</span><strong>{escape(value)}</strong>'
        f"<small>{escape(note)}</small></div>"
        for name, value, note in values
    )


def _facts(document: Mapping[str, Any]) -> str:
    identity = document["identity"]
    versions = ", ".join(f"{name} {value}" for name, value in identity["versions"].items())
    facts = {
        "Command": document["command"],
        "Commit": document["commit"],
        "Model": f"{identity['name']}:{identity['version']}, {identity['precision']}",
        "sha256": document["sha256"],
        "Provider": document["provider"] + nodes_sentence(identity),
        "Machine": machine_sentence(document["machine"]),
        "Versions": versions,
        **{name.capitalize(): str(value) for name, value in document["method"].items()},
    }
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(v)}</dd>" for name, v in facts.items())
    beside = "".join(f"<li>{escape(line)}</li>" for line in extra_sentences(document["extra"]))
    return f"<dl>{listed}</dl><ul>{beside}</ul>"


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = []
    for row in rows:
        name = f"{row['name']} ({row['kind']})"
        if row["measured"]:
            cells = [
                name, conditions(row), str(row["n"]),
                *(latency(row, percentile) for percentile in ("p50", "p90", "p99")),
                f"{row['throughput']:.4g}", quality(row), remarks(row),
            ]  # fmt: skip
        else:
            cells = [name, conditions(row), *["-"] * 6, row["reason"]]
        kind = "" if row.get("stable", True) and row["measured"] else ' class="doubtful"'
        line = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        lines.append(f"<tr{kind}>{line}</tr>")
    head = "".join(f"<th>{name}</th>" for name in HEADS)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"


def _curves(rows: Sequence[Mapping[str, Any]]) -> str:
    series = [
        Series(_short(row), [(max(x, 1e-3), y) for x, y in row["curve"]])
        for row in rows[:MOST_CURVES]
        if "curve" in row
    ]
    return line_chart("Latency: share of calls that took no longer", "ms", "%", series, log=True)


def _load_curves(rows: Sequence[Mapping[str, Any]]) -> str:
    """Throughput and latency over concurrency, and latency over the rate that was offered."""
    closed = [row for row in rows if row["kind"] == "closed loop"]
    found = ""
    if len(closed) > 1:
        lines = [
            Series(name, [(row["concurrency"], row[key]) for row in closed if row[key] is not None])
            for name, key in (("pairs per second", "throughput"), ("p50, ms", "p50"))
        ]
        found += line_chart(
            "Closed loop: service time, not what an open world sees",
            "callers",
            "",
            lines,
            log=False,
        )
    groups: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)
    for row in rows:
        if row["kind"] in ("open loop", "stream"):
            for key in ("p50", "p90", "p99"):
                if row[key] is not None:
                    groups[f"{key}, {row['mode']} {row['arrivals']}"].append(
                        (row["rate"], row[key])
                    )
    lines = [Series(name, sorted(points)) for name, points in groups.items()]
    if any(len(line.points) > 1 for line in lines):
        title = "Open loop: latency from the planned start"
        found += line_chart(title, "offered, per second", "ms", lines[:MOST_CURVES], log=False)
    return found


def _phases(rows: Sequence[Mapping[str, Any]]) -> str:
    bars = [(_short(row), list(row["phases"].items())) for row in rows if row.get("phases")]
    return stacked_bars("Where the time of a call goes, means in ms", bars)


def _scaling(rows: Sequence[Mapping[str, Any]]) -> str:
    """Cost over pixels with a straight line through it, where several sizes were measured."""
    own = [row for row in rows if row["kind"] == "engine" and row["batch"] == 1]
    points = sorted((_megapixels(row["size"]), row["p50"]) for row in own if row["p50"])
    if len({x for x, _ in points}) < LEAST_FITTED:
        return ""
    slope, offset = np.polyfit([x for x, _ in points], [y for _, y in points], 1)
    fit = [(x, float(slope * x + offset)) for x, _ in (points[0], points[-1])]
    name = f"fit: {slope:.3g} ms per megapixel + {offset:.3g} ms"
    series = [Series("p50", points), Series(name, fit, dashed=True)]
    return line_chart("Cost with the size of the picture", "megapixels", "ms", series, log=False)


def _megapixels(size: str) -> float:
    height, width = size.split("x")
    return int(height) * int(width) / 1e6


def _short(row: Mapping[str, Any]) -> str:
    if row["kind"] in ("engine", "rival", "video"):
        return f"{row['name']} {row['size']}"
    if row["kind"] == "closed loop":
        return f"closed, {row['concurrency']} callers, {row['encoding']}"
    return f"{row['mode']} {row['rate']:.3g}/s {row['arrivals']}, {row['encoding']}"
