"""A study's results as a table of runs."""

from __future__ import annotations

import csv
import io
import json

import numpy as np

from crossfuse_training.ablation.analysis import Analysis
from crossfuse_training.ablation.as_json import run_row


def as_csv(analysis: Analysis) -> str:
    """One line for each run, in the order of the plan; what is unknown is empty."""
    text = io.StringIO()
    factors = list(analysis.plan.study.factors)
    table = csv.writer(text, lineterminator="\n")
    fields = ("id", "phase", "seed", "status", "attempts", "seconds", "error")
    table.writerow([*fields, *factors, "settings", *analysis.scores.metrics])
    for run in analysis.plan.runs:
        row = run_row(analysis, run)
        values = [row["metrics"].get(metric) for metric in analysis.scores.metrics]
        numbers = ["" if value is None else np.format_float_positional(value) for value in values]
        own = [run.factors.get(name, "") for name in factors]
        settings = json.dumps(dict(run.settings))
        table.writerow([*(row[name] for name in fields), *own, settings, *numbers])
    return text.getvalue()
