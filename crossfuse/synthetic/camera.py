"""The pinhole camera both sensors share: a street seen from a mast, in metres.

World axes: x to the right, y up from the ground, z away from the camera. Both pictures are taken
from the same point, so they are aligned to the pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.floating[Any]]
"""All layers are float32; the type allows float64 because numpy's own types widen too soon."""
Mask: TypeAlias = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Camera:
    """A level camera for a picture of `height` x `width` pixels."""

    height: int
    width: int
    eye: float = 2.3
    """Metres above the ground."""

    @property
    def scale(self) -> float:
        """1 at 480 x 640; pictures of every size show at least what that one shows."""
        return min(self.width / 640.0, self.height / 480.0)

    @property
    def focal(self) -> float:
        """Focal length in pixels."""
        return 620.0 * self.scale

    @property
    def middle(self) -> float:
        """The column of x = 0."""
        return (self.width - 1) / 2.0

    @property
    def horizon(self) -> float:
        """The row of the horizon."""
        return 0.42 * self.height

    def project(self, x: float, y: float, z: float) -> tuple[float, float]:
        """Column and row of a point."""
        scale = self.focal / z
        return self.middle + x * scale, self.horizon + (self.eye - y) * scale

    def rays(self) -> tuple[Floats, Floats]:
        """x/z and (eye - y)/z of each pixel, both height x width."""
        columns = (np.arange(self.width, dtype=np.float32) - self.middle) / self.focal
        rows = (np.arange(self.height, dtype=np.float32) - self.horizon) / self.focal
        across, down = np.meshgrid(columns, rows)
        return across.astype(np.float32), down.astype(np.float32)
