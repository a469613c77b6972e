"""Runs side by side: held-out metrics picture by picture, and curves over the pairs seen.

metric_names.py   which metrics are known, and which direction is better
run_log.py        metrics.jsonl to curves
run_folder.py     what a run folder holds
scores.py         pictures x runs x metrics, on the pictures that all runs have
differences.py    from one run to the others, with intervals and probabilities
provenance.py     pictures, code and machine behind the numbers
comparison.py     all of it for some runs
markdown.py       as Markdown; tables.py: how tables are written
pictures.py       as PNG
"""

from crossfuse_training.run_comparison.comparison import (
    Comparison,
    compare_runs,
    write_comparison,
)
from crossfuse_training.run_comparison.run_folder import Run, read_run, read_runs

__all__ = ["Comparison", "Run", "compare_runs", "read_run", "read_runs", "write_comparison"]
