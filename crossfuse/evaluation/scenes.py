"""The two source pictures of a scene, as files give them and as metrics take them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossfuse.images import (
    DEFAULT_MAPPING,
    DEFAULT_MAX_PIXELS,
    IrMapping,
    PictureFolder,
    Pixels,
    map_infrared,
    read_infrared,
    read_visible,
)


@dataclass(frozen=True, eq=False)
class Scene:
    """One pair of sources."""

    stem: str
    ir_pixels: Pixels
    """uint8 or uint16 HxW, as in the file: what models and servers are given."""
    ir: NDArray[np.uint8]
    """HxW after mapping to 8 bits and polarity: what fused pictures are compared with."""
    vis: NDArray[np.uint8]
    """HxWx3 RGB or HxW grey."""


@dataclass(frozen=True)
class SceneReader:
    """Two folders paired by stem, and how the infrared camera's pictures are to be read."""

    ir: PictureFolder
    vis: PictureFolder
    mapping: IrMapping = DEFAULT_MAPPING
    polarity: str = "white-hot"
    palette: str | None = None
    max_pixels: int = DEFAULT_MAX_PIXELS

    def read(self, stem: str) -> Scene:
        """The scene of a stem; errors of this package where a file is missing or unreadable."""
        ir = read_infrared(self.ir.find(stem), max_pixels=self.max_pixels, palette=self.palette)
        vis = read_visible(self.vis.find(stem), max_pixels=self.max_pixels)
        return Scene(stem, ir, map_infrared(ir, self.mapping, polarity=self.polarity), vis)
