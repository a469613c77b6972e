"""Writes the report of a study into its output folder."""

from __future__ import annotations

import json
from pathlib import Path

from crossfuse.images import write_file
from crossfuse_training.ablation.analysis import Analysis
from crossfuse_training.ablation.as_csv import as_csv
from crossfuse_training.ablation.as_json import as_json
from crossfuse_training.ablation.markdown import (
    BARS_NAME,
    CURVES_NAME,
    HEAT_MAP_NAME,
    study_markdown,
)
from crossfuse_training.ablation.pictures import bars_picture, curves_picture, heat_map_picture


def write_report(analysis: Analysis, output: Path) -> None:
    """report.md, report.json, runs.csv and three pictures; each is whole or as it was before."""
    content = json.dumps(as_json(analysis), indent=1, allow_nan=False)
    write_file(output / "report.json", f"{content}\n".encode())
    write_file(output / "runs.csv", as_csv(analysis).encode())
    write_file(output / BARS_NAME, bars_picture(analysis))
    write_file(output / HEAT_MAP_NAME, heat_map_picture(analysis))
    write_file(output / CURVES_NAME, curves_picture(analysis))
    write_file(output / "report.md", study_markdown(analysis).encode())
