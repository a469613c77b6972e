"""Pictures as the metrics see them: 8-bit grey, with everything derived from them kept.

Scoring several methods on one pair shares the work done on the sources: keep the `SourcePair` and
pass it to `evaluate_fused` once per method.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput

Derived = TypeVar("Derived")


def to_grey(pixels: NDArray[Any], field: str = "image") -> NDArray[np.uint8]:
    """uint8 HxW as it is; uint8 HxWx3 RGB as 0.299 R + 0.587 G + 0.114 B, rounded.

    `field` is what errors call it.
    """
    if pixels.dtype != np.uint8:
        raise InvalidInput(field, f"dtype {pixels.dtype}", "uint8 (map 16-bit infrared to 8 bits)")
    if pixels.size == 0 or not (pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] == 3)):
        raise InvalidInput(field, f"shape {pixels.shape}", "HxW grey or HxWx3 RGB, not empty")
    if pixels.ndim == 2:
        return cast("NDArray[np.uint8]", np.ascontiguousarray(pixels))
    luma = cv2.cvtColor(pixels.astype(np.float32), cv2.COLOR_RGB2GRAY)
    return np.rint(luma).astype(np.uint8)


class Picture:
    """One picture reduced to uint8 grey HxW; what metrics derive from it is computed once."""

    def __init__(self, pixels: NDArray[Any], field: str = "image") -> None:
        self.grey = to_grey(pixels, field)
        self._derived: dict[Callable[[Picture], Any], Any] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        height, width = self.grey.shape
        return height, width

    def derive(self, build: Callable[[Picture], Derived]) -> Derived:
        """`build(self)`, computed at the first call and kept."""
        if build not in self._derived:
            self._derived[build] = build(self)
        return cast(Derived, self._derived[build])

    @property
    def values(self) -> NDArray[np.float64]:
        """The grey levels 0..255 as float64 HxW."""
        return self.derive(_as_float)

    @property
    def is_constant(self) -> bool:
        """True where every pixel has the same grey level."""
        return bool(self.grey.min() == self.grey.max())


def _as_float(picture: Picture) -> NDArray[np.float64]:
    return picture.grey.astype(np.float64)


class SourcePair:
    """The infrared and the visible picture of one scene, as pictures of equal size."""

    def __init__(self, ir: NDArray[Any], vis: NDArray[Any]) -> None:
        self.ir = Picture(ir, "ir")
        self.vis = Picture(vis, "vis")
        if self.ir.shape != self.vis.shape:
            raise InvalidInput("vis", f"size {size_text(self.vis)}", f"{size_text(self.ir)}, as ir")

    @property
    def pictures(self) -> tuple[Picture, Picture]:
        """Infrared, then visible."""
        return self.ir, self.vis

    def fused(self, pixels: NDArray[Any]) -> Picture:
        """A fused picture of this pair; its size must be that of the sources."""
        picture = Picture(pixels, "fused")
        if picture.shape != self.ir.shape:
            raise InvalidInput(
                "fused", f"size {size_text(picture)}", f"{size_text(self.ir)}, as ir"
            )
        return picture


def size_text(picture: Picture) -> str:
    """Size as messages print it, height first."""
    return "{}x{}".format(*picture.shape)
