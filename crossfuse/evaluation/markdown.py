"""The Markdown report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crossfuse._version import __version__
from crossfuse.evaluation.detections import DetectionScore
from crossfuse.evaluation.scoring import Evaluation
from crossfuse.evaluation.standings import Cell, Comparison
from crossfuse.evaluation.statistics import SIGNIFICANCE
from crossfuse.evaluation.text_tables import (
    DETECTION_HEADER,
    NO_PROBLEM,
    OUTCOMES,
    PROBLEM_HEADER,
    detection_rows,
    pairs_of_methods,
    problem_rows,
)
from crossfuse.evaluation.wording import (
    DETECTIONS_TEXT,
    PROFILE_TEXT,
    arrow,
    counted,
    explanations,
    interval,
    mean_rank,
    method_line,
    number,
    rank,
    value_range,
)


def markdown_report(evaluation: Evaluation, detections: Sequence[DetectionScore]) -> str:
    """Scores, intervals, comparisons, problems and definitions as tables."""
    blocks = [
        "# Fusion evaluation",
        f"{counted(len(evaluation.table.images), 'picture')}, profile `{evaluation.profile}` "
        f"({PROFILE_TEXT[evaluation.profile]}), crossfuse {__version__}.",
        _bullets(
            f"**{_text(standing.method.name)}**: {_text(method_line(evaluation, row))}"
            for row, standing in enumerate(evaluation.standings.methods)
        ),
        "## Scores",
        "Mean and, in brackets, rank; ↑ higher is better, ↓ lower is better.",
        _scores(evaluation),
        "## 95 % intervals of the means",
        _intervals(evaluation),
        "## Two methods compared",
        f"Counted as better: p below {SIGNIFICANCE:g} after correction for all comparisons.",
        _comparisons(evaluation.standings.comparisons),
    ]
    if detections:
        table = _table(DETECTION_HEADER, detection_rows(detections))
        blocks += ["## Detection", DETECTIONS_TEXT, table]
    blocks += [
        "## Problems",
        _problems(evaluation),
        "## Definitions",
        _definitions(evaluation),
        "## How to read this",
        _bullets(explanations(evaluation)),
    ]
    return "\n\n".join(blocks) + "\n"


def _scores(evaluation: Evaluation) -> str:
    names = [f"{metric.name} {arrow(metric)}" for metric in evaluation.descriptions]
    rows = [
        [standing.method.name, mean_rank(standing.mean_rank), *map(_score, standing.cells.values())]
        for standing in evaluation.standings.methods
    ]
    return _table(["method", "mean rank ↓", *names], rows)


def _score(cell: Cell) -> str:
    undefined = f", {cell.undefined} undefined" if cell.undefined else ""
    return f"{number(cell.mean)} ({rank(cell.rank)}){undefined}"


def _intervals(evaluation: Evaluation) -> str:
    standings = evaluation.standings.methods
    rows = [
        [metric, *(interval(standing.cells[metric].interval) for standing in standings)]
        for metric in evaluation.table.metrics
    ]
    return _table(["metric", *(standing.method.name for standing in standings)], rows)


def _comparisons(comparisons: list[Comparison]) -> str:
    rows = []
    for first, second, _, outcomes in pairs_of_methods(comparisons):
        names = (", ".join(each.metric for each in group) or "-" for group in outcomes)
        rows.append([first, second, *names])
    return _table(["first", "second", *OUTCOMES], rows)


def _problems(evaluation: Evaluation) -> str:
    if not evaluation.problems:
        return NO_PROBLEM
    return _table(PROBLEM_HEADER, problem_rows(evaluation))


def _definitions(evaluation: Evaluation) -> str:
    rows = [
        [
            metric.name,
            metric.direction,
            value_range(metric),
            metric.definition,
            metric.reference,
        ]
        for metric in evaluation.descriptions
    ]
    return _table(["metric", "better", "range", "definition", "reference"], rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(map(_text, line))} |" for line in lines)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _text(text: str) -> str:
    """One line that neither ends a cell nor starts markup; `---` of headers stays."""
    for character in "\\`*|<":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
