"""The tables of the HTML report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from crossfuse.evaluation.scoring import Evaluation
from crossfuse.evaluation.standings import Cell, Comparison
from crossfuse.evaluation.text_tables import OUTCOMES, pairs_of_methods
from crossfuse.evaluation.wording import (
    arrow,
    interval,
    mean_rank,
    method_line,
    number,
    probability,
    rank,
    value_range,
)
from crossfuse.metrics import Description


def standing_list(evaluation: Evaluation) -> str:
    """Methods by mean rank, each with the ranks of its metrics as dots on one line."""
    standings = evaluation.standings.methods
    count = len(standings)
    last = float("inf")
    order = sorted(
        range(count),
        key=lambda row: last if (mean := standings[row].mean_rank) is None else mean,
    )
    items = []
    for row in order:
        standing = standings[row]
        kind = "baseline" if standing.method.is_baseline else "own"
        dots = "".join(
            f'<i style="left:{_share(cell.rank, count)}" title="{escape(metric)}: rank '
            f'{rank(cell.rank)}"></i>'
            for metric, cell in standing.cells.items()
            if cell.rank is not None
        )
        mean = ""
        if standing.mean_rank is not None:
            mean = f'<b style="left:{_share(standing.mean_rank, count)}"></b>'
        items.append(
            f'<li class="{kind}"><span class="value">{mean_rank(standing.mean_rank)}</span>'
            f'<span class="who"><strong>{escape(standing.method.name)}</strong> '
            f"<small>{escape(method_line(evaluation, row))}</small></span>"
            f'<span class="track">{dots}{mean}</span></li>'
        )
    return f'<ol class="standing">{"".join(items)}</ol>'


def _share(place: float, count: int) -> str:
    return f"{100 * (place - 1) / max(count - 1, 1):.1f}%"


def score_table(evaluation: Evaluation) -> str:
    """Metrics as rows, with their definitions; methods as columns."""
    standings = evaluation.standings.methods
    head = "".join(f'<th scope="col">{escape(each.method.name)}</th>' for each in standings)
    means = "".join(f'<td class="mean">{mean_rank(each.mean_rank)}</td>' for each in standings)
    rows = [
        f'<tr><th scope="row">{escape(metric.name)} {_arrow(metric)}'
        f'<span class="definition">{escape(metric.definition)}</span></th>'
        f"{''.join(_score(standing.cells[metric.name]) for standing in standings)}</tr>"
        for metric in evaluation.descriptions
    ]
    return (
        f'<table class="scores"><thead><tr><th scope="col">metric</th>{head}</tr></thead>'
        f'<tbody><tr class="means"><th scope="row">mean rank {_sign("↓", "lower is better")}</th>'
        f"{means}</tr>{''.join(rows)}</tbody></table>"
    )


def _arrow(metric: Description) -> str:
    return _sign(arrow(metric), f"{metric.direction} is better")


def _sign(sign: str, words: str) -> str:
    return f'<abbr title="{words}">{sign}</abbr>'


def _score(cell: Cell) -> str:
    shaded = cell.rank is not None and cell.rank < 3
    place = f' class="place{int(cell.rank or 0)}"' if shaded else ""
    lines = [
        f'{number(cell.mean)} <span class="rank">{rank(cell.rank)}</span>',
        f"<small>{interval(cell.interval)}</small>",
    ]
    if cell.undefined:
        lines.append(f'<small class="alert">{cell.undefined} undefined</small>')
    return f"<td{place}>{''.join(lines)}</td>"


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """One row per pair of methods; every number of a pair folded under it."""
    rows = []
    for first, second, of_pair, outcomes in pairs_of_methods(comparisons):
        cells = "".join(
            f'<td data-label="{label}"><div>{_chips(group)}</div></td>'
            for label, group in zip(OUTCOMES, outcomes, strict=True)
        )
        rows.append(
            f'<tr><th scope="row">{escape(first)} <small>and</small> {escape(second)}</th>'
            f"{cells}</tr>"
            f'<tr class="detail"><td colspan="4"><details><summary>numbers: {escape(first)} - '
            f"{escape(second)}</summary>{_numbers(of_pair)}</details></td></tr>"
        )
    head = "".join(f'<th scope="col">{words}</th>' for words in ("pair", *OUTCOMES))
    return (
        f'<table class="pairs"><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table>'
    )


def _chips(comparisons: Iterable[Comparison]) -> str:
    chips = "".join(f'<span class="chip">{escape(each.metric)}</span> ' for each in comparisons)
    return chips or '<span class="muted">-</span>'


def _numbers(comparisons: Sequence[Comparison]) -> str:
    rows = [
        [
            each.metric,
            number(each.difference),
            interval(each.interval),
            str(each.pictures),
            probability(each.p),
            probability(each.p_adjusted),
        ]
        for each in comparisons
    ]
    return plain_table(
        ["metric", "mean difference", "95 % interval", "pictures", "p", "p, corrected"],
        rows,
        "figures",
    )


def definition_list(evaluation: Evaluation) -> str:
    """Every metric with its sentence, range and reference."""
    entries = [
        f"<dt>{escape(metric.name)} {_arrow(metric)}</dt><dd>{escape(metric.definition)} "
        f"<small>Range: {value_range(metric)}. {escape(metric.reference)}.</small></dd>"
        for metric in evaluation.descriptions
    ]
    return f"<dl>{''.join(entries)}</dl>"


def plain_table(header: Sequence[str], rows: Iterable[Sequence[str]], kind: str) -> str:
    """A table of text."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(text)}</td>' for text in row)}</tr>" for row in rows
    )
    return f'<table class="{kind}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
