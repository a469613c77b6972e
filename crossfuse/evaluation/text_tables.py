"""The tables of plain text that the Markdown and the HTML report share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from crossfuse.evaluation.detections import DetectionScore
from crossfuse.evaluation.scoring import Evaluation
from crossfuse.evaluation.standings import Comparison
from crossfuse.evaluation.wording import number

OUTCOMES = ("first is better", "second is better", "not shown to differ")
DETECTION_HEADER = ("pictures", "boxes", "mAP", "mAP50", "mAP75")
PROBLEM_HEADER = ("image", "method", "outcome", "reason")
NO_PROBLEM = "None: every picture of every method was scored."


def detection_rows(detections: Iterable[DetectionScore]) -> list[list[str]]:
    """One row per file of detections."""
    return [
        [score.name, str(score.detections), *map(number, (score.map, score.map50, score.map75))]
        for score in detections
    ]


def problem_rows(evaluation: Evaluation) -> list[list[str]]:
    """One row per picture that could not be scored, or is constant."""
    return [
        [
            problem.image,
            problem.method or "(sources)",
            "scored where defined" if problem.scored else "not scored",
            problem.reason,
        ]
        for problem in evaluation.problems
    ]


def pairs_of_methods(
    comparisons: Iterable[Comparison],
) -> Iterator[tuple[str, str, list[Comparison], Sequence[list[Comparison]]]]:
    """First, second, all their comparisons, and the same sorted into OUTCOMES."""
    for (first, second), group in groupby(comparisons, lambda each: (each.first, each.second)):
        of_pair = list(group)
        outcomes = [
            [each for each in of_pair if each.better == winner] for winner in (first, second, None)
        ]
        yield first, second, of_pair, outcomes
