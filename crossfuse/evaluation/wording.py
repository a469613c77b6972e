"""How reports print numbers, and the sentences that the Markdown and the HTML report share."""

from __future__ import annotations

from crossfuse.evaluation import statistics
from crossfuse.evaluation.scoring import CSV_NAME, Evaluation
from crossfuse.evaluation.statistics import Interval
from crossfuse.metrics import Description

PROFILE_TEXT = {
    "cddfuse": "the definitions of the CDDFuse evaluator, which most published tables use, with "
    "SSIM at data range 255",
    "corrected": "the definitions of the references, on one scale per metric",
}
# Below this many pictures a bootstrap interval is known to come out too narrow.
FEW_PICTURES = 20
DETECTIONS_TEXT = (
    "Mean average precision of boxes by the COCO rules (at most 100 boxes per picture), against "
    "one ground truth; no interval is estimated. Read it beside the same detector on the visible "
    "and on the infrared pictures alone: fusing helps only where it beats both."
)


def number(value: float | None) -> str:
    """About four significant digits; a dash for what is not known."""
    if value is None:
        return "-"
    size = abs(value)
    if 0 < size < 0.01:
        return f"{value:.2g}"
    decimals = 3 if size < 100 else 2 if size < 1000 else 0
    return f"{value:.{decimals}f}"


def rank(value: float | None) -> str:
    """1, or 2.5 where two share the places 2 and 3."""
    return "-" if value is None else f"{value:g}"


def mean_rank(value: float | None) -> str:
    """A mean of ranks over metrics."""
    return "-" if value is None else f"{value:.2f}"


def interval(ends: Interval | None) -> str:
    """Both ends."""
    return "-" if ends is None else f"{number(ends[0])} to {number(ends[1])}"


def probability(p: float | None) -> str:
    """A p value."""
    if p is None:
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def value_range(description: Description) -> str:
    """The values a metric can take."""
    low, high = description.value_range
    if low is None and high is None:
        return "any"
    if high is None:
        return f"{low:g} and up"
    return f"up to {high:g}" if low is None else f"{low:g} to {high:g}"


def arrow(description: Description) -> str:
    """Up where higher is better, else down."""
    return "↑" if description.direction == "higher" else "↓"


def counted(count: int, noun: str) -> str:
    """`1 picture`, `2 pictures`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def method_line(evaluation: Evaluation, row: int) -> str:
    """Where a method's pictures come from and how many were scored."""
    standing = evaluation.standings.methods[row]
    source = standing.method.source
    words = source if standing.method.is_baseline else f"{standing.method.kind}: {source}"
    failed = f", {standing.failed} failed" if standing.failed else ""
    return f"{words}; {standing.scored} scored{failed}"


def explanations(evaluation: Evaluation) -> list[str]:
    """What a reader must know to read the numbers."""
    standings, table = evaluation.standings, evaluation.table
    tests = sum(comparison.p is not None for comparison in standings.comparisons)
    cautions = ""
    if len(table.images) < FEW_PICTURES:
        cautions = f" With only {counted(len(table.images), 'picture')} they are too narrow."
    return [
        "All pictures are compared as 8-bit grey levels; colour counts by its luma "
        "(0.299 R + 0.587 G + 0.114 B), 16-bit infrared after its mapping to 8 bits.",
        "A mean is over the pictures of that method on which the metric is defined. Undefined "
        f"values are counted beside it and never averaged; {CSV_NAME} leaves their field empty, "
        "and has no row for a picture that was not scored.",
        "Ranks compare means over the pictures on which the metric is defined for every method "
        f"({_ranked_pictures(evaluation)}); 1 is best, equal means share their places. The mean "
        f"rank is over all {len(table.metrics)} metrics. They overlap, and simple rules win some "
        "of them: it is an overview, not a verdict.",
        "Intervals hold 95 % and are percentile bootstraps over pictures "
        f"({statistics.RESAMPLES} resamples, seed {statistics.SEED}).{cautions} Pictures are "
        "taken as independent: with neighbouring frames of one video they are too narrow as well.",
        "A comparison looks at the difference of two methods picture by picture. p is that of the "
        f"two-sided sign-flip permutation test (at most {statistics.SIGN_FLIPS} patterns of signs, "
        f"seed {statistics.SEED}), corrected for all {tests} comparisons of this report at once by "
        "the max-T method of Westfall and Young; a method is called better where the corrected p "
        f"is below {statistics.SIGNIFICANCE:g}. Not shown to differ does not mean equal, and a "
        "difference that is shown may be too small to matter.",
    ]


def _ranked_pictures(evaluation: Evaluation) -> str:
    counts = evaluation.standings.ranked_pictures
    most = max(counts.values())
    fewer = [f"{metric} {count}" for metric, count in counts.items() if count < most]
    return counted(most, "picture") + (f"; {', '.join(fewer)}" if fewer else "")
