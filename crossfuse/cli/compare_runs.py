"""Compare finished training runs on the pictures that they held out.

The first run is the reference: the others' differences from it are tested picture by picture.
Curves are aligned by the pairs of pictures seen. Into the output folder go comparison.md,
comparison.json, differences.png and curves.png; what was there under these names is replaced.
Runs with different held-out pictures are compared on the common ones, with a note.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from crossfuse.evaluation.wording import counted, mean_rank, number
from crossfuse.output_folder import make_output_folder

if TYPE_CHECKING:
    from crossfuse_training.run_comparison import Comparison

EXAMPLE = (
    "  crossfuse compare-runs runs/baseline runs/ssim -o report\n"
    "  crossfuse compare-runs runs/a runs/b runs/c --json"
)

# What a terminal is wide enough for; the report has them all.
PRINTED_METRICS = 9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="folder of a run")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR",
        help="folder of the report (default: none is written)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print comparison.json on stdout")


def run(args: argparse.Namespace) -> int:
    """Read, compare, write, and say in short what came out."""
    from crossfuse_training.run_comparison import compare_runs, read_runs, write_comparison
    from crossfuse_training.run_comparison.comparison import as_json

    comparison = compare_runs(read_runs(args.runs))
    if args.output is not None:
        write_comparison(comparison, make_output_folder(args.output))
    for note in comparison.notes:
        print(f"note: {note}", file=sys.stderr)
    if args.json:
        print(json.dumps(as_json(comparison), allow_nan=False))
    else:
        print(_overview(comparison, args.output))
    return 0


def _overview(comparison: Comparison, output: Path | None) -> str:
    metrics = comparison.scores.metrics[:PRINTED_METRICS]
    width = max(len(run.name) for run in comparison.runs) + 2
    lines = [f"{'':<{width}}{'mean rank':>10}" + "".join(f"{name:>9}" for name in metrics)]
    rows = zip(comparison.runs, comparison.mean_ranks, comparison.cells, strict=True)
    for each, place, cells in rows:
        means = "".join(f"{number(cell.mean):>9}" for cell in cells[: len(metrics)])
        lines.append(f"{each.name:<{width}}{mean_rank(place):>10}{means}")
    pictures = counted(len(comparison.scores.pictures), "common held-out picture")
    lines.append(pictures + (f" -> {output / 'comparison.md'}" if output is not None else ""))
    return "\n".join(lines)
