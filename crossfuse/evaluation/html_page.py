"""The HTML report: one file that needs no other, no network and, but for sorting, no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

from crossfuse._version import __version__
from crossfuse.evaluation.boxplots import box_plots
from crossfuse.evaluation.cases import cases_worth_showing
from crossfuse.evaluation.detections import DetectionScore
from crossfuse.evaluation.html_cases import case_articles, case_data
from crossfuse.evaluation.html_tables import (
    comparison_table,
    definition_list,
    plain_table,
    score_table,
    standing_list,
)
from crossfuse.evaluation.previews import LONGEST_SIDE, Case, build_cases
from crossfuse.evaluation.scoring import CSV_NAME, Evaluation
from crossfuse.evaluation.text_tables import (
    DETECTION_HEADER,
    NO_PROBLEM,
    PROBLEM_HEADER,
    detection_rows,
    problem_rows,
)
from crossfuse.evaluation.wording import (
    DETECTIONS_TEXT,
    PROFILE_TEXT,
    counted,
    explanations,
)


def html_report(evaluation: Evaluation, detections: Sequence[DetectionScore]) -> str:
    """The whole page; reads and fuses the pictures it shows once more."""
    order = cases_worth_showing(evaluation)
    cases = list(build_cases(evaluation, order))
    problems = len(evaluation.problems)
    return Template(_asset("report.html")).substitute(
        style=_asset("report.css"),
        script=_asset("report.js"),
        data=case_data(evaluation, cases),
        pictures=counted(len(evaluation.table.images), "picture"),
        profile=escape(evaluation.profile),
        profile_text=escape(PROFILE_TEXT[evaluation.profile]),
        version=escape(__version__),
        folders=escape(f"{evaluation.reader.ir.path}, {evaluation.reader.vis.path}"),
        problem_note=_problem_note(problems),
        count=len(evaluation.methods),
        standing=standing_list(evaluation),
        scores=score_table(evaluation),
        plots="".join(box_plots(evaluation)),
        comparisons=comparison_table(evaluation.standings.comparisons),
        detections=_detections(detections),
        shown=_shown(len(cases), len(order)),
        controls=_controls(evaluation),
        cases=case_articles(evaluation, cases),
        problems=plain_table(PROBLEM_HEADER, problem_rows(evaluation), "words")
        if problems
        else f"<p>{NO_PROBLEM}</p>",
        definitions=definition_list(evaluation),
        explanations="".join(f"<li>{escape(line)}</li>" for line in explanations(evaluation)),
        tiles=_tile_buttons(cases),
    )


def _asset(name: str) -> str:
    return files("crossfuse.evaluation").joinpath(name).read_text(encoding="utf-8")


def _problem_note(problems: int) -> str:
    if not problems:
        return ""
    return (
        f'<p class="callout"><a href="#problems">{counted(problems, "problem")} with pictures'
        "</a>: not everything was scored.</p>"
    )


def _detections(detections: Sequence[DetectionScore]) -> str:
    if not detections:
        return ""
    table = plain_table(DETECTION_HEADER, detection_rows(detections), "figures")
    return (
        f'<section id="detection"><h2>Detection</h2><p>{escape(DETECTIONS_TEXT)}</p>'
        f'<div class="scroll" tabindex="0">{table}</div></section>'
    )


def _shown(shown: int, scored: int) -> str:
    words = f"All {scored}" if shown == scored else f"{shown} of {scored}"
    chosen = "" if shown == scored else ": the best and worst by mean rank and by each metric"
    return (
        f"{words} scored pictures{chosen}. Embedded as WebP of at most {LONGEST_SIDE} pixels a "
        f"side; the metrics saw the originals, and {CSV_NAME} has every value."
    )


def _controls(evaluation: Evaluation) -> str:
    methods = "".join(f"<option>{escape(method.name)}</option>" for method in evaluation.methods)
    metrics = "".join(f"<option>{escape(name)}</option>" for name in evaluation.table.metrics)
    return (
        f'<label>Cases of <select id="sort-method">{methods}</select></label>'
        f'<label>by <select id="sort-by"><option>mean rank</option>{metrics}</select></label>'
        '<label>order <select id="sort-order"><option value="both">best and worst first</option>'
        '<option value="worst">worst first</option><option value="best">best first</option>'
        '<option value="name">by name</option></select></label>'
    )


def _tile_buttons(cases: Sequence[Case]) -> str:
    labels = [tile.label for tile in cases[0].tiles] if cases else []
    return "".join(
        f'<button type="button" data-show="{position}">{escape(label)}</button>'
        for position, label in enumerate(labels)
    )
