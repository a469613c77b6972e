"""A report as Markdown, to be pasted into a README or a design review."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from crossfuse_bench.report.fits import fit_sentence

PERCENTILE_NAMES = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p99_9": "p99.9"}

Row = Mapping[str, Any]


def markdown(document: Mapping[str, Any]) -> str:
    """Conditions first, then one row per measurement."""
    identity = document["identity"]
    lines = [
        f"# Latency of {identity['name']}:{identity['version']} (`bench {document['kind']}`)",
        "",
        f"- Command: `{document['command']}`, {document['created']}",
        f"- Commit {document['commit']}",
        *(f"- {line}" for line in sentences(document["extra"])),
        "",
        "Times in ms with 95 % intervals; UNSTABLE: the windows of the run differ by more than "
        "10 %.",
        "",
    ]
    for title, part, rows in parts_of(document):
        if title:
            lines += [f"## {title}", ""]
        lines += [
            f"- Model: {model_sentence(part)}",
            f"- Machine: {machine_sentence(part['machine'])}",
            *(f"- {name.capitalize()}: {value}" for name, value in part["method"].items()),
            "",
            *_table(rows, part["kind"]),
            *_on_gpu(rows),
            *_statistics(rows),
            *_why_missing(rows),
            "",
        ]
    return "\n".join(lines)


def parts_of(
    document: Mapping[str, Any],
) -> list[tuple[str, Mapping[str, Any], Sequence[Row]]]:
    """Title, conditions and rows of each part; of a report that has none, itself untitled."""
    parts = document["extra"].get("parts")
    if not parts:
        return [("", document, document["rows"])]
    return [
        (
            f"Part {number + 1}: {part['command']}",
            part,
            [row for row in document["rows"] if row["part"] == number],
        )
        for number, part in enumerate(parts)
    ]


def sentences(extra: Mapping[str, Any]) -> list[str]:
    """What stands beside the rows."""
    found = []
    if "peak" in extra:
        peak = extra["peak"]
        found.append(
            f"Peak of the machine in this run: {peak['gflops']:.0f} GFLOP/s (matrix product of "
            f"float32), {peak['copy_gbytes']:.1f} GB/s (copy, read and written)"
        )
    found.extend(extra.get("findings", []))
    found.extend(map(fit_sentence, extra["fits"]))
    return found


def _table(rows: Sequence[Row], kind: str) -> list[str]:
    lines = [
        "| what | conditions | n | p50 | p90 | p99 | per second | quality to fp32 | remarks |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for row in rows:
        name = row["name"] if row["kind"] == kind else f"{row['name']} ({row['kind']})"
        if not row["measured"]:
            lines.append(
                f"| {name} | {conditions(row)} | - | - | - | - | - | - | {row['reason']} |"
            )
            continue
        cells = " | ".join(latency(row, percentile) for percentile in ("p50", "p90", "p99"))
        lines.append(
            f"| {name} | {conditions(row)} | {row['n']} | {cells} | {row['throughput']:.4g} "
            f"| {quality(row)} | {remarks(row)} |"
        )
    return lines


def _on_gpu(rows: Sequence[Row]) -> list[str]:
    """Phases and energy, where a GPU was measured."""
    found = on_gpu(rows)
    if not found:
        return []
    return [
        "",
        GPU_NOTE,
        "",
        f"| {' | '.join(GPU_HEADS)} |",
        f"|{' --- |' * len(GPU_HEADS)}",
        *(f"| {' | '.join(gpu_cells(row))} |" for row in found),
    ]


def _statistics(rows: Sequence[Row]) -> list[str]:
    """The server's own numbers, as perf_analyzer prints them, beside the client's."""
    counted = [row for row in rows if row.get("server")]
    if not counted:
        return []
    return [
        "",
        "The server's own statistics beside the client's; means in ms:",
        "",
        "| conditions | pairs, client / server | executions | client's mean | request in the "
        "server | = queue + input + infer + output + overhead |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
        *(f"| {' | '.join(statistics_cells(row))} |" for row in counted),
    ]


def _why_missing(rows: Sequence[Row]) -> list[str]:
    reasons = sorted(
        {
            f"- {row['name']}, {conditions(row)}: {PERCENTILE_NAMES[name]} not given: {reason}"
            for row in rows
            if row["measured"]
            for name, reason in row["reasons"].items()
            if name in ("p50", "p90", "p99")
        }
    )
    return ["", *reasons] if reasons else []
