"""Writes the reports of an evaluation into a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from crossfuse.evaluation.detections import DetectionScore
from crossfuse.evaluation.html_page import html_report
from crossfuse.evaluation.markdown import markdown_report
from crossfuse.evaluation.scoring import Evaluation
from crossfuse.evaluation.summary import summary
from crossfuse.images import write_file

SUMMARY_NAME = "summary.json"
MARKDOWN_NAME = "report.md"
HTML_NAME = "report.html"


def write_reports(
    evaluation: Evaluation, detections: Sequence[DetectionScore], output: Path
) -> None:
    """`summary.json`, `report.md` and `report.html`; each is whole or not there."""
    content = json.dumps(summary(evaluation, detections), indent=1, allow_nan=False)
    write_file(output / SUMMARY_NAME, f"{content}\n".encode())
    write_file(output / MARKDOWN_NAME, markdown_report(evaluation, detections).encode())
    write_file(output / HTML_NAME, html_report(evaluation, detections).encode())
