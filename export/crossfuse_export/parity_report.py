"""A parity report as JSON with every case, and as Markdown with the worst cases first."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crossfuse.errors import OutputError
from crossfuse.images import write_file
from crossfuse_export.parity import BARS, Case
from crossfuse_export.verify import ParityReport

SCHEMA_VERSION = 1
WORST = 15


def write_report(folder: Path, report: ParityReport) -> None:
    """Write parity.json and parity.md into a folder, which is made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}") from error
    text = json.dumps(to_json(report), indent=2) + "\n"
    write_file(folder / "parity.json", text.encode())
    write_file(folder / "parity.md", to_markdown(report).encode())


def to_json(report: ParityReport) -> dict[str, Any]:
    """Everything that was compared, cases worst first."""
    culprit = report.culprit
    return {
        "schema": SCHEMA_VERSION,
        "passed": report.passed,
        **asdict(report),
        "bars": {precision: asdict(BARS[precision]) for precision in report.files},
        "summary": summaries(report),
        "cases": [asdict(case) for case in worst_first(report.cases)],
        "first_difference": None if culprit is None else asdict(culprit),
    }


def worst_first(cases: Sequence[Case]) -> list[Case]:
    """Missed cases, then the others that are judged; within each by the largest difference."""
    return sorted(
        cases,
        key=lambda case: (
            not case.missed,
            case.not_judged is not None,
            -case.difference.max_abs,
            -case.difference.mean_abs,
        ),
    )


def summaries(report: ParityReport) -> list[dict[str, Any]]:
    """One row for each file and device, over the cases that are judged."""
    rows = []
    for precision, device in dict.fromkeys((case.precision, case.device) for case in report.cases):
        cases = [
            case for case in report.cases if (case.precision, case.device) == (precision, device)
        ]
        judged = [case.difference for case in cases if case.not_judged is None]
        levels = [difference.psnr for difference in judged if difference.psnr is not None]
        rows.append(
            {
                "precision": precision,
                "device": device,
                "cases": len(cases),
                "not_judged": len(cases) - len(judged),
                "missed": sum(bool(case.missed) for case in cases),
                "max_abs": max((difference.max_abs for difference in judged), default=None),
                "worst_mean_abs": max((difference.mean_abs for difference in judged), default=None),
                "worst_psnr": min(levels, default=None),
                "worst_ssim": min((difference.ssim for difference in judged), default=None),
                "not_finite": len(report.not_finite[precision]),
            }
        )
    return rows


def to_markdown(report: ParityReport) -> str:
    """The report for people."""
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    lines = [
        f"# Parity of {report.bundle}: {'passed' if report.passed else 'MISSED'}",
        "",
        "Every file against the PyTorch network of its checkpoint, run eagerly in single "
        "precision. Differences are in grey levels, after rounding to 8 bits.",
        "",
        f"- Checkpoint: sha256 `{report.checkpoint_sha256}`",
        *(f"- {precision}: sha256 `{digest}`" for precision, digest in report.files.items()),
        f"- {versions}",
        f"- Real pictures: {report.data}",
        *(f"- Not run on {skipped.device}: {skipped.reason}" for skipped in report.skipped),
        "",
        "| file | on | cases | not judged | missed | largest | worst mean | worst PSNR "
        "| worst SSIM | not finite |",
        "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: |",
        *(_summary_line(row) for row in summaries(report)),
        "",
        *_bars(report),
        "",
        *_findings(report),
        *_taps(report),
        f"## The {WORST} worst of {len(report.cases)} cases",
        "",
        "| file | on | picture | size | batch | largest | mean | PSNR | SSIM | verdict |",
        "| --- | --- | --- | --- | --: | --: | --: | --: | --: | --- |",
        *(_case_line(case) for case in worst_first(report.cases)[:WORST]),
        "",
    ]
    return "\n".join(lines)


def _bars(report: ParityReport) -> Iterator[str]:
    names = {"max_abs": "largest", "mean_abs": "mean", "psnr": "PSNR", "ssim": "SSIM"}
    for precision in report.files:
        bar = BARS[precision]
        limits = [
            f"{label} {'at most' if name.endswith('abs') else 'at least'} {limit:g}"
            for name, label in names.items()
            if (limit := getattr(bar, name)) is not None
        ]
        yield f"- Bars of {precision}, in every case: {', '.join(limits)}; finite throughout"


def _findings(report: ParityReport) -> Iterator[str]:
    """What the table does not hold, as a paragraph."""
    found = [f"- Banding: {entry}" for entry in report.banding]
    for precision, places in report.not_finite.items():
        found += [f"- Not finite inside {precision}: {where}" for where in places]
    if "fp16" in report.files:
        found.append(
            "- On a CPU an fp16 file proves its weights and its types, not the arithmetic of a GPU."
        )
    if found:
        yield from (*found, "")


def _summary_line(row: dict[str, Any]) -> str:
    cells = [
        row["precision"],
        row["device"],
        str(row["cases"]),
        str(row["not_judged"]),
        str(row["missed"]),
        str(row["max_abs"]),
        _number(row["worst_mean_abs"], 5),
        _psnr(row["worst_psnr"]),
        _number(row["worst_ssim"], 5),
        str(row["not_finite"]),
    ]
    return f"| {' | '.join(cells)} |"


def _case_line(case: Case) -> str:
    difference = case.difference
    verdict = "; ".join(case.missed) or case.not_judged or "ok"
    return (
        f"| {case.precision} | {case.device} | {case.picture} | {case.size} | {case.batch} "
        f"| {difference.max_abs} | {_number(difference.mean_abs, 5)} | {_psnr(difference.psnr)} "
        f"| {_number(difference.ssim, 5)} | {verdict} |"
    )


def _taps(report: ParityReport) -> Iterator[str]:
    if report.taps is None:
        return
    culprit = report.culprit
    yield "## Part by part, fp32 on a CPU"
    yield ""
    if culprit is not None:
        yield f"The difference begins in **{culprit.part}** (`{culprit.module}`)."
        yield ""
    yield "| part | module | nearest value of the file | error, share of the largest value |"
    yield "| --- | --- | --- | --: |"
    for tap in report.taps:
        error = "no value fits" if tap.error is None else f"{tap.error:.1e}"
        yield f"| {tap.part} | `{tap.module}` | {tap.nearest or '-'} | {error} |"
    yield ""


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.{digits}f}"


def _psnr(value: float | None) -> str:
    return "equal" if value is None else f"{value:.1f}"
