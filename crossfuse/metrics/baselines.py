"""The simple fusion rules that every report prints beside a learned method."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.metrics.picture import SourcePair

PYRAMID_LEVELS = 4


def average(ir: NDArray[Any], vis: NDArray[Any]) -> NDArray[np.uint8]:
    """Mean of the two pictures, halves rounded up.

    uint8 HxW grey or HxWx3 RGB in, uint8 HxW grey out.
    """
    pair = SourcePair(ir, vis)
    total = pair.ir.grey.astype(np.uint16) + pair.vis.grey
    return ((total + 1) // 2).astype(np.uint8)


def maximum(ir: NDArray[Any], vis: NDArray[Any]) -> NDArray[np.uint8]:
    """The brighter pixel of the two; uint8 HxW grey or HxWx3 RGB in, uint8 HxW grey out."""
    pair = SourcePair(ir, vis)
    return np.maximum(pair.ir.grey, pair.vis.grey)


def _pyramid(image: NDArray[np.float32], levels: int) -> list[NDArray[np.float32]]:
    """Band-pass images from fine to coarse, then what is left."""
    bands = []
    for _ in range(levels):
        smaller = np.asarray(cv2.pyrDown(image), np.float32)
        bands.append(image - cv2.pyrUp(smaller, dstsize=image.shape[::-1]))
        image = smaller
    return [*bands, image]


def laplacian_pyramid(ir: NDArray[Any], vis: NDArray[Any]) -> NDArray[np.uint8]:
    """The stronger detail at every scale over the mean of the coarsest scale.

    uint8 HxW grey or HxWx3 RGB in, uint8 HxW grey out. Four levels of detail, fewer for pictures
    with a side below 16 pixels.
    """
    pair = SourcePair(ir, vis)
    levels = min(PYRAMID_LEVELS, min(pair.ir.shape).bit_length() - 1)
    pyramids = [_pyramid(source.values.astype(np.float32), levels) for source in pair.pictures]
    *details, (coarse_ir, coarse_vis) = zip(*pyramids, strict=True)
    fused = (coarse_ir + coarse_vis) / 2
    for of_ir, of_vis in reversed(details):
        detail = np.where(np.abs(of_ir) >= np.abs(of_vis), of_ir, of_vis)
        fused = cv2.pyrUp(fused, dstsize=detail.shape[::-1]) + detail
    return np.asarray(np.rint(np.clip(fused, 0, 255)), np.uint8)


BASELINES: dict[str, Callable[[NDArray[Any], NDArray[Any]], NDArray[np.uint8]]] = {
    "average": average,
    "maximum": maximum,
    "laplacian_pyramid": laplacian_pyramid,
}
