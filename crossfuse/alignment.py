"""Bringing the infrared picture into the frame of the visible one by a homography."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from crossfuse.arrays import UInt8Array
from crossfuse.errors import InvalidInput

Matrix = npt.NDArray[np.float64]

IDENTITY = "nine finite numbers, row by row, like 1 0 0 0 1 0 0 0 1"

# Beyond these the picture would be a smear of a few infrared pixels, or a few pixels of it.
LARGEST_AREA_CHANGE = 400.0

# The infrared border fades into the visible picture over this many pixels, so that no edge shows.
FEATHER = 9


def parse_homography(values: Sequence[float] | Matrix, field: str = "homography") -> Matrix:
    """Nine numbers, or a 3x3 matrix, that take infrared pixel positions to visible ones."""
    try:
        matrix = np.asarray(values, dtype=np.float64).reshape(-1)
    except (TypeError, ValueError):
        raise InvalidInput(field, repr(values), IDENTITY) from None
    if matrix.size != 9:
        raise InvalidInput(field, f"{matrix.size} numbers", IDENTITY)
    if not np.isfinite(matrix).all():
        raise InvalidInput(field, "a matrix with NaN or infinite values", IDENTITY)
    return matrix.reshape(3, 3)


def align_infrared(ir: UInt8Array, vis: UInt8Array, homography: Matrix) -> UInt8Array:
    """The infrared picture, uint8 of any size, as uint8 HxW in the frame of vis.

    What the infrared camera does not see is filled with the luma of the visible picture, so that
    the fused picture shows the visible one there.
    """
    height, width = vis.shape[:2]
    _check_mapping(ir.shape, (height, width), homography)
    size = (width, height)
    warped = cv2.warpPerspective(ir, homography, size, flags=cv2.INTER_LINEAR)
    seen = cv2.warpPerspective(np.full(ir.shape, 255, np.uint8), homography, size)
    if seen.min() == 255:
        return np.asarray(warped, np.uint8)
    luma = vis if vis.ndim == 2 else cv2.cvtColor(vis, cv2.COLOR_RGB2GRAY)
    inside = cv2.erode(seen, np.ones((FEATHER, FEATHER), np.uint8), borderValue=255)
    share = cv2.blur(inside, (FEATHER, FEATHER)).astype(np.float32) / 255
    blended = warped * share + luma * (1 - share)
    return np.rint(blended).astype(np.uint8)


def _check_mapping(
    ir_shape: tuple[int, ...], vis_shape: tuple[int, int], homography: Matrix
) -> None:
    """Refuse what no camera rig does: singular, through the horizon, absurdly scaled, missing."""
    height, width = ir_shape[:2]
    corners = np.array(
        [[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1]], dtype=np.float64
    )
    with np.errstate(over="ignore", invalid="ignore"):
        projected = corners @ homography.T
        scale = projected[:, 2]
        bent = not np.isfinite(projected).all() or ((scale <= 0).any() and (scale >= 0).any())
        if bent or np.abs(scale).min() < 1e-6 * np.abs(projected).max():
            raise InvalidInput(
                "homography",
                f"a matrix that takes a corner of the {width}x{height} picture to infinity",
                "a matrix that keeps the whole infrared picture in front of the camera",
            )
        points = (projected[:, :2] / scale[:, None]).astype(np.float32)
    area = abs(cv2.contourArea(points)) / (height * width)
    if not 1 / LARGEST_AREA_CHANGE <= area <= LARGEST_AREA_CHANGE:
        raise InvalidInput(
            "homography",
            f"a matrix that changes the area of the infrared picture by {area:.3g}",
            f"a change between 1/{LARGEST_AREA_CHANGE:g} and {LARGEST_AREA_CHANGE:g}; "
            "a singular matrix has none",
        )
    frame = np.array(
        [[0, 0], [vis_shape[1], 0], [vis_shape[1], vis_shape[0]], [0, vis_shape[0]]], np.float32
    )
    overlap, _ = cv2.intersectConvexConvex(cv2.convexHull(points), frame)
    if overlap < 1:
        raise InvalidInput(
            "homography",
            "a matrix that moves the infrared picture wholly outside the visible one",
            "a matrix under which the two pictures overlap",
        )
