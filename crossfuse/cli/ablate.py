"""Ablation studies: which changes to a training recipe have an effect, and which are noise.

`plan` lists the runs of a study file, `run` trains what is missing and `report` writes what came
out. A study may be interrupted and run again at any time: finished runs are skipped, an
interrupted one goes on where it was, one that failed is tried again. Runs are processes of their
own, so that one that fails stops no other; the exit code is then 1. Into the output folder go
study.json (the state), runs/ and logs/, and report.md, report.json, runs.csv and three pictures.

Before a phase has results, its winners are called top1, top2 and so on in the next phase's ids.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tqdm import tqdm

from crossfuse.errors import MissingDependency
from crossfuse.evaluation.wording import counted, mean_rank, number

if TYPE_CHECKING:
    from crossfuse_training.ablation import Outcome, Plan, Record, Study
    from crossfuse_training.ablation.analysis import Analysis

EXAMPLE = (
    "  crossfuse ablate plan --study training/configs/studies/gaff.toml --json\n"
    "  crossfuse ablate run --study training/configs/studies/small.toml --output runs/small\n"
    "  crossfuse ablate run --study training/configs/studies/gaff.toml 'seeds=[1, 2]' steps=2000\n"
    "  crossfuse ablate report --study training/configs/studies/small.toml --output runs/small"
)

# What a terminal is wide enough for; the report has them all.
PRINTED_METRICS = 6


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="plan|run|report")
    for name, summary in (
        ("plan", "list the runs"),
        ("run", "train what is missing, then report"),
        ("report", "report what is there"),
    ):
        action = actions.add_parser(name, help=summary, description=summary)
        action.add_argument(
            "--study", type=Path, required=True, metavar="FILE", help="the study, a TOML file"
        )
        action.add_argument(
            "--output", type=Path, metavar="DIR", help="folder of the study (default: runs/NAME)"
        )
        if name == "run":
            action.add_argument(
                "--data", type=Path, metavar="DIR",
                help="where the pairs are (default: CROSSFUSE_DATA)",
            )  # fmt: skip
        action.add_argument("--json", action="store_true", help="print JSON on stdout")
        action.add_argument(
            "overrides", nargs="*", metavar="key=value",
            help="settings of the recipe for all runs, or seeds=[1, 2]",
        )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Do one action."""
    try:
        from crossfuse_training.ablation import check_recipes, plan, read_record
        from crossfuse_training.ablation.overrides import read_overridden
        from crossfuse_training.ablation.selection import finished
    except ImportError as error:
        raise MissingDependency(error.name or "torch", "crossfuse ablate", "train") from error
    study, overrides = read_overridden(args.study, args.overrides)
    output = args.output or Path("runs") / study.name
    record = read_record(study.name, output)
    planned = plan(study, record.winners, overrides)
    check_recipes(planned.runs)
    if args.action == "plan":
        _print_plan(planned, record, as_json=args.json)
        return 0
    if args.action == "run":
        planned, record = _run(args, study, output, overrides)
        if not finished(planned, record):
            print("crossfuse ablate: no run finished, so there is no report", file=sys.stderr)
            return 1
    return _report(planned, record, output, as_json=args.json)


def _run(
    args: argparse.Namespace, study: Study, output: Path, overrides: dict[str, Any]
) -> tuple[Plan, Record]:
    from crossfuse_training.ablation import run_study

    with tqdm(unit="run", disable=None, file=sys.stderr) as bar:

        def tell(outcome: Outcome) -> None:
            bar.total = outcome.total
            bar.update(outcome.done - bar.n)
            words = f"{outcome.status} in {outcome.seconds:.0f} s"
            if outcome.status == "skipped":
                words = "done before"
            if outcome.error is not None:
                words += f": {outcome.error}"
            place = f"{outcome.done}/{outcome.total}"
            bar.write(f"{place} {outcome.run.id}: {words}", file=sys.stderr)

        return run_study(study, output, data_root=args.data, overrides=overrides, report=tell)


def _report(planned: Plan, record: Record, output: Path, *, as_json: bool) -> int:
    from crossfuse_training.ablation import as_json as forms
    from crossfuse_training.ablation import write_report
    from crossfuse_training.ablation.analysis import analyse

    analysis = analyse(planned, record)
    write_report(analysis, output)
    if as_json:
        print(json.dumps(forms.as_json(analysis), allow_nan=False))
    else:
        print(_overview(analysis, output))
    return 1 if any(record.status(run) == "failed" for run in planned.runs) else 0


def _print_plan(planned: Plan, record: Record, *, as_json: bool) -> None:
    rows: list[dict[str, Any]] = [
        {
            "id": run.id,
            "phase": run.phase,
            "factors": dict(run.factors),
            "seed": run.seed,
            "status": "open" if run.is_open else record.status(run),
        }
        for run in planned.runs
    ]
    if as_json:
        print(json.dumps({"runs": rows}))
        return
    width = max(len(row["id"]) for row in rows) + 2
    print(f"{'RUN':<{width}}PHASE  STATUS   FACTORS")
    for row in rows:
        factors = ", ".join(f"{key}={value}" for key, value in row["factors"].items())
        print(f"{row['id']:<{width}}{row['phase']:<7}{row['status']:<9}{factors}")
    print(counted(len(rows), "run"))


def _overview(analysis: Analysis, output: Path) -> str:
    from crossfuse_training.ablation.notes import notes

    metrics = analysis.scores.metrics[:PRINTED_METRICS]
    width = max(len(result.configuration.name) for result in analysis.results) + 2
    lines = [f"{'':<{width}}{'mean rank':>10}" + "".join(f"{name:>11}" for name in metrics)]
    for result in analysis.results:
        cells = ""
        for effect in result.effects[: len(metrics)]:
            mark = {"better": "+", "worse": "-", "not shown": " "}[effect.verdict]
            cells += f"{number(effect.mean):>10}{mark}"
        name, place = result.configuration.name, mean_rank(result.place.mean_rank)
        lines.append(f"{name:<{width}}{place:>10}{cells}")
    lines.append(f"+ better and - worse than {analysis.plan.study.baseline}; others: not shown")
    lines += [f"note: {note}" for note in notes(analysis)]
    return "\n".join([*lines, f"-> {output / 'report.md'}"])
