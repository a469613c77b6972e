"""The document of a report, its schema, and its four files."""

from __future__ import annotations

import csv
import io
import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crossfuse.errors import InvalidInput
from crossfuse.images import write_file
from crossfuse.output_folder import make_output_folder
from crossfuse_bench.machine import commit, describe_machine, versions
from crossfuse_bench.report.cells import GPU_TIMES, on_gpu
from crossfuse_bench.report.fits import fits
from crossfuse_bench.report.html_page import html_page
from crossfuse_bench.report.markdown import markdown
from crossfuse_bench.report.schema import SCHEMA, validate

HEADLINE = ("p50", "p90", "p95", "p99", "p99_9", "throughput")
SERVER = tuple(
    f"server_{name}"
    for name in (
        "n", "executions", "throughput", "request_ms", "queue_ms", "compute_input_ms",
        "compute_infer_ms", "compute_output_ms",
    )
)  # fmt: skip
COLUMNS = (
    "part", "name", "kind", "size", "batch", "threads", "precision", "device", "provider",
    "encoding", "mode", "arrivals", "streams", "concurrency", "rate", "achieved_rate",
    "lateness_ms", "n", "failed", "lost", "p50", "p90", "p95", "p99", "p99_9", "mean", "min", "max",
    "throughput", "stable", "run_to_run", "load_s", "first_ms", "memory_mb", "gflops",
    "share_of_peak", "interval_ms", "jitter_ms", *SERVER, "psnr", "ssim", "measured", "reason",
    "commit", "sha256",
)  # fmt: skip
GPU_COLUMNS = (
    "launch", "device_n",
    *(f"{name}_{percentile}" for name in GPU_TIMES for percentile in ("p50", "p95", "p99")),
    "device_reason", "joules_per_pair", "watts", "energy_how", "energy_reason",
)  # fmt: skip
"""Only where a GPU was measured."""


@dataclass(frozen=True)
class Document:
    """A report; `identity` needs `provider` and `sha256`, the first row is the headline."""

    kind: str
    command: str
    identity: dict[str, Any]
    method: dict[str, Any]
    rows: list[dict[str, Any]]
    extra: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Plain values that keep the schema; times are in milliseconds unless named otherwise."""
        first = self.rows[0]
        found = {
            "schema": SCHEMA,
            "kind": self.kind,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": self.command,
            **{name: first[name] for name in HEADLINE},
            "reasons": first["reasons"],
            "provider": self.identity["provider"],
            "sha256": self.identity["sha256"],
            "commit": commit(),
            "identity": self.identity | {"versions": versions()},
            "machine": describe_machine(),
            "method": self.method,
            "rows": self.rows,
            "extra": self.extra | {"fits": fits(self.rows)},
        }
        validate(found)
        return found


def read_report(path: Path) -> dict[str, Any]:
    """A report.json, or that of a folder, checked against the schema."""
    file = path / "report.json" if path.is_dir() else path
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput("report", f"{file} ({error})", "a report.json of bench") from error
    validate(document, str(file))
    return document


def check_folder(folder: Path) -> None:
    """Refuse, before anything is measured, a folder that files cannot be written to."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise InvalidInput("--output", str(folder), f"a folder; {there} is none to write to")


def write_report(document: Document, folder: Path) -> dict[str, Any]:
    """Write the four files of a report; returns what is in report.json."""
    return write_files(document.as_json(), folder)


def write_files(found: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Write report.json, .csv, .md and .html of what keeps the schema; returns it."""
    make_output_folder(folder)
    content = json.dumps(found, indent=1, allow_nan=False) + "\n"
    for suffix, text in (
        ("json", content),
        ("csv", _csv(found)),
        ("md", markdown(found)),
        ("html", html_page(found)),
    ):
        write_file(folder / f"report.{suffix}", text.encode())
    return found


def _csv(document: dict[str, Any]) -> str:
    table = io.StringIO()
    columns = COLUMNS + (GPU_COLUMNS if on_gpu(document["rows"]) else ())
    writer = csv.DictWriter(table, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in document["rows"]:
        same = _of_the_part(document, row)
        lost = {
            "failed": sum(row.get("failures", {}).values()),
            "lost": sum(row.get("dropped", {}).values()),
        }
        server = {f"server_{name}": value for name, value in row.get("server", {}).items()}
        quality = row.get("quality", {})
        writer.writerow(same | row | quality | lost | server | _on_gpu(row))
    return table.getvalue()


def _of_the_part(document: dict[str, Any], row: dict[str, Any]) -> dict[str, str]:
    """What a row has in common with those that were measured with it."""
    part = document["extra"]["parts"][row["part"]] if "part" in row else document
    same = {"commit": part["commit"], "sha256": part["sha256"]}
    # A rival is another model, and runs elsewhere: of one that was not measured neither is known.
    return same | (
        {"sha256": ""} if row["kind"] == "rival" else {"provider": part["identity"]["provider"]}
    )


def _on_gpu(row: dict[str, Any]) -> dict[str, Any]:
    """Phases and energy of a row as columns."""
    times, energy = row.get("device_times", {}), row.get("energy", {})
    found = {
        f"{name}_{part}": times[name][part]
        for name in GPU_TIMES
        if name in times
        for part in ("p50", "p95", "p99")
    }
    named = {"device_n": times.get("n"), "device_reason": times.get("reason")}
    named |= {name: energy.get(name) for name in ("joules_per_pair", "watts")}
    return found | named | {f"energy_{name}": energy.get(name) for name in ("how", "reason")}
