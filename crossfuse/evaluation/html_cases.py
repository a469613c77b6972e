"""The pictures of the HTML report, and the numbers its script sorts them by."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np

from crossfuse.evaluation.previews import Case, Tile
from crossfuse.evaluation.scoring import Evaluation
from crossfuse.evaluation.wording import mean_rank


def case_articles(evaluation: Evaluation, cases: Sequence[Case]) -> str:
    """One article per scene: infrared, visible and every method, each a button that zooms."""
    return "".join(_article(evaluation, number, case) for number, case in enumerate(cases))


def _article(evaluation: Evaluation, number: int, case: Case) -> str:
    captions = ["", ""]
    for column, place in enumerate(evaluation.standings.picture_ranks[case.row]):
        scored = evaluation.table.scored[case.row, column]
        captions.append(f"mean rank {mean_rank(float(place))}" if scored else "")
    tiles = "".join(
        _figure(case, position, tile, caption)
        for position, (tile, caption) in enumerate(zip(case.tiles, captions, strict=True))
    )
    return (
        f'<article class="case" data-case="{number}"><h3>{escape(case.image)} '
        f'<span class="badge"></span></h3><div class="tiles">{tiles}</div></article>'
    )


def _figure(case: Case, position: int, tile: Tile, caption: str) -> str:
    label = escape(tile.label)
    if tile.data_url is None:
        picture = f'<div class="missing">{escape(tile.note)}</div>'
    else:
        width, height = tile.size
        picture = (
            f'<button type="button" data-tile="{position}" aria-label="zoom {label}, '
            f'{escape(case.image)}"><img src="{tile.data_url}" width="{width}" height="{height}" '
            f'alt="{label} of {escape(case.image)}" decoding="sync"></button>'
        )
    return (
        f"<figure>{picture}<figcaption>{label}"
        f'<span class="caption" data-tile="{position}">{caption}</span></figcaption></figure>'
    )


def case_data(evaluation: Evaluation, cases: Sequence[Case]) -> str:
    """What the script needs, as JSON that is safe inside a script element."""
    rows = [case.row for case in cases]
    content = {
        "methods": evaluation.table.methods,
        "metrics": [
            {"name": metric.name, "higher": metric.direction == "higher"}
            for metric in evaluation.descriptions
        ],
        "cases": [case.image for case in cases],
        "ranks": _numbers(evaluation.standings.picture_ranks[rows]),
        "values": _numbers(evaluation.table.values[rows]),
    }
    return json.dumps(content, allow_nan=False).replace("<", "\\u003c")


def _numbers(values: Any) -> Any:
    """Nested lists of six digits, null for what is undefined."""
    if isinstance(values, np.ndarray):
        return [_numbers(part) for part in values]
    return float(f"{values:.6g}") if np.isfinite(values) else None
