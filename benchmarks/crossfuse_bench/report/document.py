"""The document of a report, its schema, and its four files."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import fastjsonschema

from crossfuse.errors import InvalidInput
from crossfuse.images import write_file
from crossfuse_bench.machine import commit, describe_machine, versions
from crossfuse_bench.report.html_page import html_page
from crossfuse_bench.report.markdown import markdown

SCHEMA = "crossfuse-bench/1"
HEADLINE = ("p50", "p90", "p95", "p99", "p99_9", "throughput")
COLUMNS = (
    "name", "kind", "size", "batch", "threads", "precision", "device", "provider", "encoding",
    "mode", "concurrency", "rate", "achieved_rate", "n", "p50", "p90", "p95", "p99", "p99_9",
    "mean", "min", "max", "throughput", "stable", "run_to_run", "load_s", "first_ms", "memory_mb",
    "gflops", "share_of_peak", "psnr", "ssim", "measured", "reason", "commit", "sha256",
)  # fmt: skip


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
            "extra": self.extra,
        }
        validate(found)
        return found


def validate(document: Any, name: str = "report") -> None:
    """Refuse what does not keep the schema."""
    schema = json.loads((files(__package__) / "schema.json").read_text(encoding="utf-8"))
    try:
        fastjsonschema.validate(schema, document)
    except fastjsonschema.JsonSchemaException as error:
        raise InvalidInput(name, str(error), f"a report of schema {SCHEMA}") from error


def read_report(path: Path) -> dict[str, Any]:
    """A report.json, or that of a folder, checked against the schema."""
    file = path / "report.json" if path.is_dir() else path
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput("report", f"{file} ({error})", "a report.json of bench") from error
    validate(document, str(file))
    return document


def write_report(document: Document, folder: Path) -> dict[str, Any]:
    """Write report.json, .csv, .md and .html; returns what is in report.json."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            "--output", f"{folder} ({error.strerror})", "a folder that can be made"
        ) from error
    found = document.as_json()
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
    writer = csv.DictWriter(table, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    same = {"commit": document["commit"], "sha256": document["sha256"]}
    for row in document["rows"]:
        writer.writerow({"provider": document["provider"]} | row | row.get("quality", {}) | same)
    return table.getvalue()
