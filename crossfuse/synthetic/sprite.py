"""Pictures of things that face the camera, drawn enlarged, in metres, then shrunk smoothly."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from crossfuse.synthetic.camera import Camera, Floats

_ENLARGED = 3
_SUBPIXEL_BITS = 4
HOTTEST = 63.0
"""Degrees Celsius that 255 stands for while drawing."""

Point = tuple[float, float]
Colour = tuple[float, float, float]


class Sprite:
    """A thing standing at (x, z); points are metres right of and above its foot.

    `reach` and `height` bound the drawing. All lengths are multiplied by `size`; with `side` -1
    the drawing looks to the left. Shapes drawn later cover earlier ones. `colour` is linear RGB
    albedo, `heat` degrees Celsius.
    """

    def __init__(
        self,
        camera: Camera,
        x: float,
        z: float,
        reach: float,
        height: float,
        *,
        size: float = 1.0,
        side: float = 1.0,
    ) -> None:
        self.z = z
        foot_column, foot_row = camera.project(x, 0.0, z)
        pixels = camera.focal / z * size
        self._scale = pixels * _ENLARGED
        self._side = side
        left = math.floor(foot_column - reach * pixels) - 1
        top = math.floor(foot_row - height * pixels) - 1
        right = math.ceil(foot_column + reach * pixels) + 2
        bottom = math.ceil(foot_row + 0.08 * pixels) + 2
        self._corner = (top, left)
        self._foot = (
            (foot_column - left + 0.5) * _ENLARGED - 0.5,
            (foot_row - top + 0.5) * _ENLARGED - 0.5,
        )
        self._frame = (camera.height, camera.width)
        drawn = ((bottom - top) * _ENLARGED, (right - left) * _ENLARGED)
        self._alpha = np.zeros(drawn, np.uint8)
        self._heat = np.zeros(drawn, np.uint8)
        self._colour = np.zeros((*drawn, 3), np.uint8)

    def polygon(self, points: Sequence[Point], colour: Colour, heat: float) -> None:
        """A filled polygon."""
        corners = np.array([self._pixel(point) for point in points], np.int32)
        for layer, value in self._layers(colour, heat):
            cv2.fillPoly(layer, [corners], value, cv2.LINE_8, _SUBPIXEL_BITS)

    def ellipse(
        self, centre: Point, radii: Point, colour: Colour, heat: float, angle: float = 0.0
    ) -> None:
        """A filled ellipse, turned by `angle` degrees counter-clockwise."""
        extent = tuple(max(1, round(radius * self._scale * 16)) for radius in radii)
        for layer, value in self._layers(colour, heat):
            cv2.ellipse(
                layer,
                self._pixel(centre),
                extent,
                -angle * self._side,
                0,
                360,
                value,
                -1,
                shift=_SUBPIXEL_BITS,
            )

    def limb(
        self, start: Point, start_radius: float, end: Point, end_radius: float,
        colour: Colour, heat: float,
    ) -> None:  # fmt: skip
        """Two discs and all between them."""
        self.ellipse(start, (start_radius, start_radius), colour, heat)
        self.ellipse(end, (end_radius, end_radius), colour, heat)
        dx, dy = end[0] - start[0], end[1] - start[1]
        length = math.hypot(dx, dy) or 1.0
        nx, ny = -dy / length, dx / length
        self.polygon(
            [
                (start[0] + nx * start_radius, start[1] + ny * start_radius),
                (end[0] + nx * end_radius, end[1] + ny * end_radius),
                (end[0] - nx * end_radius, end[1] - ny * end_radius),
                (start[0] - nx * start_radius, start[1] - ny * start_radius),
            ],
            colour,
            heat,
        )

    def render(self) -> tuple[tuple[slice, slice], Floats, Floats, Floats] | None:
        """The box of the picture it covers, alpha 0..1, and albedo and heat times alpha.

        None when the thing is outside the picture.
        """
        top, left = self._corner
        rows, columns = (side // _ENLARGED for side in self._alpha.shape)
        box = (
            slice(max(top, 0), max(min(top + rows, self._frame[0]), 0)),
            slice(max(left, 0), max(min(left + columns, self._frame[1]), 0)),
        )
        if box[0].start >= box[0].stop or box[1].start >= box[1].stop:
            return None
        inner = (
            slice(box[0].start - top, box[0].stop - top),
            slice(box[1].start - left, box[1].stop - left),
        )
        layers = (
            cv2.resize(layer, (columns, rows), interpolation=cv2.INTER_AREA)[inner]
            for layer in (self._alpha, self._colour, self._heat)
        )
        alpha, colour, heat = (layer.astype(np.float32) / 255.0 for layer in layers)
        return box, alpha, colour, heat * HOTTEST

    def _pixel(self, point: Point) -> tuple[int, int]:
        column = self._foot[0] + point[0] * self._side * self._scale
        row = self._foot[1] - point[1] * self._scale
        return round(column * 2**_SUBPIXEL_BITS), round(row * 2**_SUBPIXEL_BITS)

    def _layers(self, colour: Colour, heat: float) -> list[tuple[np.ndarray, tuple[float, ...]]]:
        return [
            (self._alpha, (255.0,)),
            (self._colour, tuple(255.0 * channel for channel in colour)),
            (self._heat, (255.0 * min(max(heat / HOTTEST, 0.0), 1.0),)),
        ]
