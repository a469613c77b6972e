"""A report as one HTML page that needs nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from crossfuse_bench.report.cells import (
    GPU_HEADS,
    GPU_NOTE,
    conditions,
    gpu_cells,
    latency,
    machine_sentence,
    model_sentence,
    on_gpu,
    quality,
    remarks,
    statistics_cells,
)
from crossfuse_bench.report.charts import all_charts
from crossfuse_bench.report.markdown import parts_of, sentences

HEADS = ("what", "conditions", "n", "p50", "p90", "p99", "per second", "quality to fp32", "remarks")
STATISTICS_HEADS = (
    "conditions", "pairs, client / server", "executions", "client's mean", "request in the server",
    "= queue + input + infer + output + overhead",
)  # fmt: skip

Row = Mapping[str, Any]


def html_page(document: Mapping[str, Any]) -> str:
    """The page."""
    here = files(__package__)
    template = Template((here / "page.html").read_text(encoding="utf-8"))
    identity = document["identity"]
    parts = parts_of(document)
    return template.substitute(
        style=(here / "page.css").read_text(encoding="utf-8"),
        title=escape(f"Latency of {identity['name']}:{identity['version']}"),
        kind=escape(document["kind"]),
        created=escape(document["created"]),
        tiles=_tiles(document),
        first=escape(f"{document['rows'][0]['kind']}, {conditions(document['rows'][0])}"),
        findings="".join(f"<li>{escape(line)}</li>" for line in sentences(document["extra"])),
        table=_table([(title, rows) for title, _, rows in parts]),
        plots=all_charts([(part["kind"], rows) for _, part, rows in parts], document["extra"]),
        on_gpu=_on_gpu(document["rows"]),
        statistics=_statistics(document["rows"]),
        facts="".join(_facts(title, part) for title, part, _ in parts),
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


def _facts(title: str, part: Mapping[str, Any]) -> str:
    versions = part["identity"]["versions"]
    facts = {
        "Command": part["command"],
        "Commit": part["commit"],
        "Model": model_sentence(part),
        "Machine": machine_sentence(part["machine"]),
        "Versions": ", ".join(f"{name} {value}" for name, value in versions.items()),
        **{name.capitalize(): str(value) for name, value in part["method"].items()},
    }
    listed = "".join(f"<dt>{escape(name)}</dt><dd>{escape(v)}</dd>" for name, v in facts.items())
    return (f"<h3>{escape(title)}</h3>" if title else "") + f"<dl>{listed}</dl>"


def _table(parts: Sequence[tuple[str, Sequence[Row]]]) -> str:
    lines = []
    for title, rows in parts:
        if title:
            lines.append(
                f'<tr class="part"><th scope="rowgroup" colspan="{len(HEADS)}">{escape(title)}'
                "</th></tr>"
            )
        lines += map(_line, rows)
    return _with_head(HEADS, lines)


def _line(row: Row) -> str:
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
    return f"<tr{kind}>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _on_gpu(rows: Sequence[Row]) -> str:
    """Phases and energy, where a GPU was measured."""
    cells = [gpu_cells(row) for row in on_gpu(rows)]
    return _section("On the GPU", GPU_NOTE, GPU_HEADS, cells)


def _statistics(rows: Sequence[Row]) -> str:
    """The server's own numbers, as perf_analyzer prints them, beside the client's."""
    cells = [statistics_cells(row) for row in rows if row.get("server")]
    note = "What the server counted, beside what the client saw; means in ms."
    return _section("The server's own statistics", note, STATISTICS_HEADS, cells)


def _section(title: str, note: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table with its title; nothing where it has no row."""
    if not rows:
        return ""
    lines = [f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    return (
        f"<section><h2>{escape(title)}</h2><p>{escape(note)}</p>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(title)}">'
        f"{_with_head(heads, lines)}</div></section>"
    )


def _with_head(heads: Sequence[str], lines: Sequence[str]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
