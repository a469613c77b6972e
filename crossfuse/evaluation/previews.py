"""The pictures inside an HTML report: WebP in data URLs, bounded in number and in bytes.

Nothing is kept while scoring: the few pictures that are shown are read and fused a second time.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import CrossFuseError
from crossfuse.evaluation.scoring import Evaluation
from crossfuse.images import encode

MOST_PICTURES = 40
MOST_BYTES = 14_000_000
LONGEST_SIDE = 1024
QUALITY = 90


@dataclass(frozen=True)
class Tile:
    """One picture of a case."""

    label: str
    data_url: str | None
    """None where there is no picture."""
    size: tuple[int, int]
    """Width and height as embedded; 0 where there is no picture."""
    note: str = ""
    """Why there is no picture."""


@dataclass(frozen=True)
class Case:
    """One scene as a report shows it: infrared, visible, then every method."""

    row: int
    """Of the table of scores."""
    image: str
    tiles: list[Tile]


def build_cases(evaluation: Evaluation, rows: Iterable[int]) -> Iterator[Case]:
    """Cases of these rows, in order, until the report is full; the first is always there."""
    left = MOST_BYTES
    for count, row in enumerate(rows):
        if count == MOST_PICTURES:
            return
        case = _case(evaluation, row)
        left -= sum(len(tile.data_url or "") for tile in case.tiles)
        if left < 0 and count > 0:
            return
        yield case


def _case(evaluation: Evaluation, row: int) -> Case:
    image = evaluation.table.images[row]
    scene = evaluation.reader.read(image)
    tiles = [_tile("infrared", scene.ir), _tile("visible", scene.vis)]
    for column, method in enumerate(evaluation.methods):
        if not evaluation.table.scored[row, column]:
            tiles.append(Tile(method.name, None, (0, 0), "not scored: see Problems"))
            continue
        try:
            tiles.append(_tile(method.name, method.fuse(scene)))
        except CrossFuseError as error:
            tiles.append(Tile(method.name, None, (0, 0), f"scored, then lost: {error}"))
    return Case(row, image, tiles)


def _tile(label: str, pixels: NDArray[np.uint8]) -> Tile:
    height, width = pixels.shape[:2]
    shrink = LONGEST_SIDE / max(height, width)
    if shrink < 1:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
    data = base64.b64encode(encode(pixels, "webp", quality=QUALITY)).decode("ascii")
    return Tile(label, f"data:image/webp;base64,{data}", (pixels.shape[1], pixels.shape[0]))
