"""Several reports as one document: their rows one after the other, and what they say together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crossfuse.errors import InvalidInput
from crossfuse_bench.report.cells import machine_name
from crossfuse_bench.report.fits import fits
from crossfuse_bench.report.markdown import sentences
from crossfuse_bench.report.schema import SCHEMA, validate

OF_A_PART = ("kind", "created", "command", "commit", "sha256", "identity", "machine", "method")
HEADLINE = ("p50", "p90", "p95", "p99", "p99_9", "throughput", "reasons", "provider")


def joined(reports: Sequence[Mapping[str, Any]], command: str) -> dict[str, Any]:
    """One report of several; the first one gives the headline, and each row names its part.

    A report alone stays what it is, so that its files can be written again.
    """
    first = reports[0]
    if len(reports) == 1:
        return dict(first)
    if any(report["kind"] == "joined" for report in reports):
        raise InvalidInput("reports", "one that is joined already", "those it was made of")
    rows: list[dict[str, Any]] = []
    for number, report in enumerate(reports):
        # Several parts may say of the same device that it is not there.
        said = [_without_part(row) for row in rows if not row["measured"]]
        rows += [{**row, "part": number} for row in report["rows"] if row not in said]
    found = {
        "schema": SCHEMA,
        "kind": "joined",
        "created": max(report["created"] for report in reports),
        "command": command,
        **{name: first[name] for name in (*HEADLINE, "commit", "sha256", "identity", "machine")},
        "method": {
            "scenario": f"{len(reports)} measurements, one after the other",
            "inputs": "; ".join(dict.fromkeys(report["method"]["inputs"] for report in reports)),
        },
        "rows": rows,
        "extra": {
            "parts": [
                {name: report[name] for name in OF_A_PART} | {"extra": report["extra"]}
                for report in reports
            ],
            # Cost on one machine and cost on another lie on no line.
            "fits": fits(rows) if len(_machines(reports)) == 1 else [],
            "findings": _findings(reports),
        },
    }
    validate(found)
    return found


def _findings(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the parts say, and whether they are of one build and one machine."""
    commits = sorted({report["commit"] for report in reports})
    machines = _machines(reports)
    return [
        *[f"The parts are of different commits: {', '.join(commits)}"] * (len(commits) > 1),
        *[f"The parts are of different machines: {'; '.join(machines)}"] * (len(machines) > 1),
        *(
            f"Part {number}: {line}"
            for number, report in enumerate(reports, 1)
            for line in sentences({**report["extra"], "fits": []})
        ),
    ]


def _machines(reports: Sequence[Mapping[str, Any]]) -> list[str]:
    return sorted({machine_name(report["machine"]) for report in reports})


def _without_part(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "part"}
