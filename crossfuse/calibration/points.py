"""Calibration from points that correspond: listed, clicked, or of a heated chessboard."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.arrays import UInt8Array
from crossfuse.calibration.geometry import Matrix
from crossfuse.errors import ImageError, InvalidInput
from crossfuse.images import read_bytes

LEAST_POINTS = 4
LEAST_BOARDS = 1
Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class PointEstimate:
    """A homography from points, and how well it takes one set to the other."""

    homography: Matrix
    errors: NDArray[np.float64]
    """Reprojection error of each point in visible pixels."""
    inliers: NDArray[np.bool_]

    @property
    def error(self) -> float:
        """Root mean square over the points that agree."""
        return float(np.sqrt(np.square(self.errors[self.inliers]).mean()))


def read_points(path: Path) -> tuple[Points, Points]:
    """Infrared and visible points of a CSV file: ir_x, ir_y, vis_x, vis_y in each line."""
    valid = "lines of four numbers: ir_x,ir_y,vis_x,vis_y; a heading is allowed"
    rows: list[list[float]] = []
    try:
        # Spreadsheets put a mark before the first number.
        lines = list(csv.reader(read_bytes(path).decode("utf-8-sig").splitlines()))
    except ImageError as error:
        raise InvalidInput(str(path), error.received, f"a file of {valid}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidInput(str(path), "no text", valid) from error
    for number, line in enumerate(lines, start=1):
        if not line or line[0].lstrip().startswith("#"):
            continue
        try:
            row = [float(value) for value in line]
        except ValueError:
            if number == 1:
                continue
            raise InvalidInput(f"{path}, line {number}", ",".join(line), valid) from None
        if len(row) != 4 or not np.isfinite(row).all():
            raise InvalidInput(f"{path}, line {number}", ",".join(line), valid)
        rows.append(row)
    points = np.array(rows, np.float64).reshape(-1, 4)
    return points[:, :2], points[:, 2:]


def estimate_from_points(ir: Points, vis: Points) -> PointEstimate:
    """The homography that most of the points agree on."""
    if len(ir) < LEAST_POINTS:
        raise InvalidInput(
            "points", f"{len(ir)}", f"{LEAST_POINTS} or more, better 20, spread over the picture"
        )
    # With few points every one counts; with many, a wrong click must not.
    method = cv2.USAC_MAGSAC if len(ir) >= 8 else 0
    spread = [float(np.linalg.svd(points - points.mean(axis=0))[1][1]) for points in (ir, vis)]
    # None, whatever its types say, where there is no homography.
    fitted: tuple[Any, Any] = cv2.findHomography(ir, vis, method, 3.0)
    found, mask = fitted
    if found is None or min(spread) < 1.0:
        raise InvalidInput(
            "points", "points on a line, or that fit no homography",
            "points spread over the whole picture",
        )  # fmt: skip
    homography = np.asarray(found, np.float64)
    projected = cv2.perspectiveTransform(ir[:, None], homography)[:, 0]
    errors = np.linalg.norm(projected - vis, axis=1)
    inliers = np.asarray(mask, bool).ravel()
    return PointEstimate(homography, errors, inliers)


def chessboard_points(
    ir: Sequence[UInt8Array], vis: Sequence[UInt8Array], board: tuple[int, int]
) -> tuple[Points, Points, int]:
    """Inner corners of a heated chessboard in pairs of uint8 HxW pictures; boards that were found.

    board: inner corners across and down. In infrared the fields may be the other way round.
    """
    found_ir, found_vis = [], []
    for one, two in zip(ir, vis, strict=True):
        infrared, visible = _corners(one, board), _corners(two, board)
        if infrared is None:
            infrared = _corners(np.asarray(255 - one, np.uint8), board)
        if infrared is None or visible is None:
            continue
        # Found from the other end where light and dark change places.
        if np.dot(infrared[-1] - infrared[0], visible[-1] - visible[0]) < 0:
            infrared = infrared[::-1]
        found_ir.append(infrared)
        found_vis.append(visible)
    if len(found_ir) < LEAST_BOARDS:
        raise InvalidInput(
            "chessboard",
            f"no pair of frames out of {len(ir)} in which both cameras show it",
            f"a heated board with {board[0]}x{board[1]} inner corners, whole in both pictures",
        )
    return np.concatenate(found_ir), np.concatenate(found_vis), len(found_ir)


def _corners(picture: UInt8Array, board: tuple[int, int]) -> Points | None:
    good, found = cv2.findChessboardCornersSB(
        picture, board, flags=cv2.CALIB_CB_NORMALIZE_IMAGE | cv2.CALIB_CB_EXHAUSTIVE
    )
    return np.asarray(found, np.float64).reshape(-1, 2) if good else None
