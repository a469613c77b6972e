"""A white sheet to draw on, in pixels of the finished picture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]
"""Red, green, blue in 0..255."""
Point = tuple[float, float]
Alignment = Literal["left", "centre", "right"]

INK: Colour = (30, 30, 30)
MUTED: Colour = (105, 105, 105)
GRID: Colour = (225, 225, 225)
BAND: Colour = (232, 232, 232)
# Told apart by people who do not see all colours alike (Okabe and Ito, 2008).
SERIES: tuple[Colour, ...] = (
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (86, 180, 233),
    (230, 159, 0),
    (120, 120, 120),
    (0, 0, 0),
)

WIDTH = 1000
# Drawn larger and averaged down, which smooths what OpenCV draws.
_ENLARGED = 2
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_FONT_SCALE_OF_A_PIXEL = 0.034


class Canvas:
    """Pixels are RGB; coordinates are x to the right, y down."""

    def __init__(self, height: int, width: int = WIDTH) -> None:
        self.width, self.height = width, height
        shape = (height * _ENLARGED, width * _ENLARGED, 3)
        self._pixels: NDArray[np.uint8] = np.full(shape, 255, np.uint8)

    def line(self, start: Point, end: Point, colour: Colour = INK, thickness: float = 1) -> None:
        """A straight line."""
        self.path([start, end], colour, thickness)

    def path(self, points: Sequence[Point], colour: Colour, thickness: float = 2) -> None:
        """Straight lines from point to point."""
        corners = np.rint(np.asarray(points, np.float64) * _ENLARGED).astype(np.int32)
        width = max(1, round(thickness * _ENLARGED))
        cv2.polylines(self._pixels, [corners], False, colour, width, cv2.LINE_AA)

    def rectangle(self, corner: Point, opposite: Point, colour: Colour) -> None:
        """A filled one."""
        (x0, x1), (y0, y1) = (sorted(ends) for ends in zip(corner, opposite, strict=True))
        left, top, right, bottom = (round(end * _ENLARGED) for end in (x0, y0, x1, y1))
        cv2.rectangle(self._pixels, (left, top), (right - 1, bottom - 1), colour, cv2.FILLED)

    def dot(self, centre: Point, colour: Colour, radius: float = 3) -> None:
        """A filled circle."""
        x, y = (round(end * _ENLARGED) for end in centre)
        cv2.circle(self._pixels, (x, y), round(radius * _ENLARGED), colour, cv2.FILLED, cv2.LINE_AA)

    def text(
        self,
        position: Point,
        text: str,
        *,
        size: float = 14,
        colour: Colour = INK,
        align: Alignment = "left",
        bold: bool = False,
    ) -> None:
        """One line whose middle has the height of `position`; the font has ASCII alone."""
        text = text.encode("ascii", "replace").decode()
        scale, weight = size * _FONT_SCALE_OF_A_PIXEL * _ENLARGED, 2 if bold else 1
        (width, _), _ = cv2.getTextSize(text, _FONT, scale, weight)
        share = {"left": 0.0, "centre": 0.5, "right": 1.0}[align]
        x = round(position[0] * _ENLARGED - share * width)
        y = round((position[1] + 0.34 * size) * _ENLARGED)
        cv2.putText(self._pixels, text, (x, y), _FONT, scale, colour, weight, cv2.LINE_AA)

    def png(self) -> bytes:
        """The finished picture as a file's content."""
        size = (self.width, self.height)
        small = cv2.resize(self._pixels, size, interpolation=cv2.INTER_AREA)
        _, content = cv2.imencode(".png", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        return content.tobytes()


def shortened(text: str, characters: int) -> str:
    """The text, its middle left out where it is too long: ids differ at both ends."""
    if len(text) <= characters:
        return text
    kept = characters - 2
    return f"{text[: kept - kept // 2]}..{text[len(text) - kept // 2 :]}"
