"""A report as Markdown, to be pasted into a README or a design review."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PERCENTILE_NAMES = {"p50": "p50", "p90": "p90", "p95": "p95", "p99": "p99", "p99_9": "p99.9"}


def markdown(document: Mapping[str, Any]) -> str:
    """Conditions first, then one row per measurement."""
    identity, machine = document["identity"], document["machine"]
    rows = document["rows"]
    lines = [
        f"# Latency of {identity['name']}:{identity['version']} (`bench {document['kind']}`)",
        "",
        f"- Command: `{document['command']}`, {document['created']}",
        f"- Commit {document['commit']}",
        f"- Model: {identity['precision'] or 'no'} precision, sha256 `{document['sha256']}`, "
        f"{document['provider']}{nodes_sentence(identity)}",
        f"- Machine: {machine_sentence(machine)}",
        *(f"- {name.capitalize()}: {value}" for name, value in document["method"].items()),
        *(f"- {line}" for line in extra_sentences(document["extra"])),
        "",
        "Times in ms with 95 % intervals; UNSTABLE: the windows of the run differ by more than "
        "10 %.",
        "",
        *_table(rows, document["kind"]),
        *_why_missing(rows),
    ]
    return "\n".join([*lines, ""])


def nodes_sentence(identity: Mapping[str, Any]) -> str:
    """Where the runtime has put the nodes of the graph."""
    counts = identity.get("nodes_by_provider") or {}
    parts = ", ".join(f"{count} nodes on {name}" for name, count in counts.items())
    return f" ({parts})" if parts else ""


def machine_sentence(machine: Mapping[str, Any]) -> str:
    """The machine in one line."""
    load = ", ".join(f"{value:g}" for value in machine["load"])
    return (
        f"{machine['processors']} processors of {machine['processor']}, {machine['system']}, "
        f"GPU {machine['gpu']}, governor {machine['governor']}, load {load}"
    )


def extra_sentences(extra: Mapping[str, Any]) -> list[str]:
    """What stands beside the rows."""
    found = []
    if "peak" in extra:
        peak = extra["peak"]
        found.append(
            f"Peak of the machine in this run: {peak['gflops']:.0f} GFLOP/s (matrix product of "
            f"float32), {peak['copy_gbytes']:.1f} GB/s (copy, read and written)"
        )
    found.extend(extra.get("findings", []))
    return found


def latency(row: Mapping[str, Any], name: str) -> str:
    """A percentile with its interval, or a dash."""
    value = row[name]
    if value is None:
        return "-"
    low, high = row["intervals"][name]
    return f"{value:.4g} ({low:.4g} to {high:.4g})"


def conditions(row: Mapping[str, Any]) -> str:
    """What tells one row from another, in few words."""
    parts = [row["size"]]
    if row.get("batch", 1) != 1:
        parts.append(f"batch {row['batch']}")
    if "threads" in row:
        parts.append(f"{row['threads']} threads")
    named = (row.get(name) for name in ("precision", "provider", "mode", "encoding"))
    parts.extend(str(value) for value in named if value and value != "none")
    if row.get("rate") is not None:
        parts.append(f"{row['rate']:.4g}/s {row['arrivals']}")
    if row.get("concurrency") is not None:
        parts.append(f"concurrency {row['concurrency']}")
    return ", ".join(parts)


def remarks(row: Mapping[str, Any]) -> str:
    """Quality, stability and failures beside the speed."""
    parts = []
    if row.get("label"):
        parts.append(str(row["label"]))
    if row.get("stable") is False:
        parts.append("UNSTABLE")
    if row.get("run_to_run") is not None:
        parts.append(f"run-to-run {row['run_to_run']:.1%}")
    if row.get("lateness_ms") is not None:
        parts.append(f"loader late by {row['lateness_ms']:.1f} ms (p99)")
    if row.get("jitter_ms") is not None:
        parts.append(f"every {row['interval_ms']:.1f} ms, jitter {row['jitter_ms']:.1f} ms (p90)")
    if row.get("share_of_peak") is not None:
        parts.append(f"{row['gflops']:.0f} GFLOP/s, {row['share_of_peak']:.0%} of peak")
    if row.get("memory_mb") is not None:
        parts.append(f"{row['memory_mb']:.0f} MB")
    parts.extend(f"{count} {name}" for name, count in row.get("failures", {}).items())
    parts.extend(f"{count} dropped: {name}" for name, count in row.get("dropped", {}).items())
    return "; ".join(parts)


def quality(row: Mapping[str, Any]) -> str:
    """Distance to fp32."""
    found = row.get("quality")
    if not found:
        return "-"
    if found["psnr"] is None:
        return "= fp32" if found["ssim"] == 1.0 else "-"
    return f"{found['psnr']:.1f} dB, SSIM {found['ssim']:.4f}"


def _table(rows: list[dict[str, Any]], kind: str) -> list[str]:
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


def _why_missing(rows: list[dict[str, Any]]) -> list[str]:
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
