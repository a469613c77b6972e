"""How two cameras on one rig stand to each other, measured from what they see.

recordings.py   frames of both cameras, with their times
features.py     what infrared and visible pictures have in common
search.py       coarse: all scales, turns and shifts
blocks.py       how far each block of the picture lies off, from many frames
refine.py       fine: one homography for all blocks, robust
certainty.py    what the blocks say about the rig, and how sure that is
timing.py       the time offset
automatic.py    all of that together
points.py       from listed points or a heated chessboard
verdict.py      what is good enough to be written
pictures.py     overlays for a person to look at
drift.py        whether a rig in use still fits
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from crossfuse.calibration.automatic import estimate
from crossfuse.calibration.geometry import Matrix, resized
from crossfuse.calibration.points import (
    PointEstimate,
    chessboard_points,
    estimate_from_points,
    read_points,
)
from crossfuse.calibration.recordings import Recording, read_recordings
from crossfuse.calibration.timing import offset_by_alignment
from crossfuse.calibration.verdict import CalibrationRefused, check_estimate, check_points
from crossfuse.video.rig import Rig, RigQuality

__all__ = [
    "CalibrationRefused",
    "Recording",
    "calibrate_automatically",
    "calibrate_from_chessboard",
    "calibrate_from_points",
    "read_points",
    "read_recordings",
]


def calibrate_automatically(ir: Recording, vis: Recording) -> Rig:
    """The rig two recordings of one scene were made with; CalibrationRefused where unsure."""
    found = check_estimate(estimate(ir, vis), vis.size[0])
    return Rig(
        ir_size=ir.size,
        vis_size=vis.size,
        homography=found.homography,
        time_offset_ms=0.0 if found.offset is None else round(found.offset.seconds * 1e3, 1),
        created=_now(),
        quality=RigQuality(
            method="automatic",
            error=round(found.uncertainty, 2),
            samples=found.pairs,
            agreement=round(found.agreement, 3),
            offset_error=None if found.offset is None else round(found.offset.error * 1e3, 1),
        ),
    )


def calibrate_from_points(ir: Recording, vis: Recording, points: Path) -> Rig:
    """The rig from a file of points that correspond; the time offset from the recordings."""
    infrared, visible = read_points(points)
    found = check_points(estimate_from_points(infrared, visible), vis.size[0])
    return _from_points(ir, vis, found, "points", len(infrared))


def calibrate_from_chessboard(ir: Recording, vis: Recording, board: tuple[int, int]) -> Rig:
    """The rig from recordings of a heated chessboard with so many inner corners."""
    count = min(len(ir.frames), len(vis.frames))
    infrared, visible, boards = chessboard_points(ir.frames[:count], vis.frames[:count], board)
    infrared = _scaled(infrared, ir)
    visible = _scaled(visible, vis)
    found = check_points(estimate_from_points(infrared, visible), vis.size[0])
    return _from_points(ir, vis, found, "chessboard", boards)


def _scaled(points: Matrix, recording: Recording) -> Matrix:
    """Points of the smaller frames of a recording in those of the camera."""
    matrix = resized(recording.frames[0].shape[::-1], recording.size)
    return np.asarray(points * np.diag(matrix)[:2] + matrix[:2, 2], np.float64)


def _from_points(
    ir: Recording, vis: Recording, found: PointEstimate, method: str, samples: int
) -> Rig:
    to_small = resized(vis.size, vis.frames[0].shape[::-1])
    from_small = resized(ir.frames[0].shape[::-1], ir.size)
    between = to_small @ found.homography @ from_small
    offset = offset_by_alignment(ir, vis, between)
    return Rig(
        ir_size=ir.size,
        vis_size=vis.size,
        homography=found.homography,
        time_offset_ms=0.0 if offset is None else round(offset.seconds * 1e3, 1),
        created=_now(),
        quality=RigQuality(
            method=method,
            error=round(found.error, 2),
            samples=samples,
            agreement=round(float(found.inliers.mean()), 3),
            offset_error=None if offset is None else round(offset.error * 1e3, 1),
        ),
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
