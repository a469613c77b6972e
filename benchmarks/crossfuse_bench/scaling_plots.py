"""The plots of docs/scaling.md, each an SVG file of its own."""

from __future__ import annotations

import re
from typing import Any

from crossfuse_bench.report.plots import Series, line_chart
from crossfuse_bench.scaling_model import fit_of

COLOURS = ("#0b6bcb", "#c2410c", "#15803d", "#7c3aed", "#a16207", "#64748b")
STYLE = (
    "svg{font:12px sans-serif;background:#fff}text{fill:#5c6670}.grid{stroke:#d8dde2}"
    "polyline{fill:none;stroke-width:2}.dashed{stroke-dasharray:5 4}"
    + "".join(f"polyline.c{i}{{stroke:{c}}}circle.c{i},.c{i}.key{{fill:{c}}}"
              for i, c in enumerate(COLOURS))
)  # fmt: skip
LEGEND_LINE = 16
DRAWN = (1, 2, 4)
"""Numbers of replicas whose latency is drawn; the table has them all."""


def plots(found: dict[str, Any]) -> dict[str, str]:
    """By name of the picture: throughput against replicas, and mean latency against load."""
    throughput, latency = [], []
    for document in found.values():
        rows = document["replicas"]
        label = document["engine"]
        measured = [(r["replicas"], r["most"]["throughput"]) for r in rows]
        throughput += [
            Series(label, measured),
            Series(f"{label}: in proportion", [(c, c * measured[0][1]) for c, _ in measured], True),
        ]
    document = found["waiting"]
    fit = fit_of(document)
    for row in document["replicas"]:
        count = row["replicas"]
        if count not in DRAWN:
            continue
        points = [(load["offered"], load["mean"]) for load in row["loads"]]
        model = [
            (rate, 1e3 * fit.latency(count, rate))
            for rate, _ in points
            if rate * fit.service < count
        ]
        name = f"{count} replica{'s' if count > 1 else ''}"
        latency += [Series(name, points), Series(f"{name}, model", model, True)]
    return {
        "scaling-throughput": _standalone(
            line_chart(
                "Pairs a second against replicas", "replicas", "pairs/s", throughput, log=False
            ),
            throughput,
        ),
        "scaling-latency": _standalone(
            line_chart(
                f"Mean latency of {document['engine']}", "pairs/s offered", "ms", latency, log=False
            ),
            latency,
        ),
    }


def _standalone(chart: str, series: list[Series]) -> str:
    """A chart of a report as a file of its own: with its colours, and its legend below."""
    match = re.search(r'<svg viewBox="0 0 (\d+) (\d+)"(.*?)>(.*)</svg>', chart, re.DOTALL)
    assert match is not None, "a chart is an SVG"
    width, height, attributes, content = match.groups()
    bottom = int(height) + 4
    legend = "".join(
        f'<rect class="c{number % len(COLOURS)} key" x="56" y="{bottom + LEGEND_LINE * number}" '
        f'width="10" height="10"/><text x="72" y="{bottom + 9 + LEGEND_LINE * number}">'
        f"{one.name}{' (dashed)' if one.dashed else ''}</text>"
        for number, one in enumerate(series)
    )
    whole = int(height) + LEGEND_LINE * len(series) + 8
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {whole}" '
        f'width="{width}"{attributes}><style>{STYLE}</style>{content}{legend}</svg>'
    )
