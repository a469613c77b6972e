"""The time offset of two cameras: what moves, moves in both pictures at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.arrays import UInt8Array
from crossfuse.calibration.features import (
    FloatArray,
    edge_directions,
    inner_mask,
    seen_region,
    warped_features,
)
from crossfuse.calibration.geometry import Matrix, resized, shrink
from crossfuse.calibration.recordings import Recording

Floats = NDArray[np.float64]

LARGEST_OFFSET = 1.0
ALIGNED_WIDTH = 120
# Visible frames that are compared with infrared ones around them.
COMPARED = 60
# Correlation of what changes, from which an offset can be believed: of edges, which is sharp, and
# of the amount of motion in each block of the picture, which also codecs cause.
LEAST_EDGES = 0.08
# Seconds before and after a frame with which it is compared.
AROUND = 0.2
LEAST_MOTION = 0.15
LEAST_LEAD = 0.05
# Peaks this near, in seconds, are one.
SAME_PEAK = 0.1
BLOCKS = (10, 8)
# So large that the same things move in them however the cameras stand to each other.
COARSE_BLOCKS = (5, 4)


@dataclass(frozen=True, slots=True)
class Offset:
    """Seconds to add to infrared times to get visible ones, and how sure that is."""

    seconds: float
    error: float
    """Half the width of the peak's top, in seconds."""


def offset_by_motion(ir: Recording, vis: Recording) -> float:
    """A first guess, without an alignment: how much moves from frame to frame, over time."""
    infrared, visible = (
        _motion(recording.frames, recording.interval, COARSE_BLOCKS) for recording in (ir, vis)
    )
    lags = _lags(ir, vis)
    scores = _series_scores(ir, vis, infrared, visible, lags)
    return 0.0 if scores is None else float(lags[int(np.argmax(scores))])


def offset_by_alignment(ir: Recording, vis: Recording, homography: Matrix) -> Offset | None:
    """The offset under which aligned pictures change together; None where too little changes.

    homography: between the frames as they are in the recordings.
    """
    lags = _lags(ir, vis)
    edges = _edge_scores(ir, vis, homography, lags)
    if edges is not None and np.nanmax(edges) >= LEAST_EDGES:
        return _peak(lags, edges)
    size = vis.frames[0].shape[::-1]
    warped = [
        np.asarray(cv2.warpPerspective(frame, homography, size), np.uint8) for frame in ir.frames
    ]
    motion = _series_scores(
        ir,
        vis,
        _motion(warped, ir.interval, BLOCKS),
        _motion(vis.frames, vis.interval, BLOCKS),
        lags,
    )
    if motion is None:
        return None
    best = int(np.argmax(motion))
    others = motion[np.abs(lags - lags[best]) > SAME_PEAK]
    if motion[best] < LEAST_MOTION or motion[best] - others.max() < LEAST_LEAD:
        return None
    return _peak(lags, motion)


def _lags(ir: Recording, vis: Recording) -> Floats:
    step = min(ir.interval, vis.interval)
    most = round(LARGEST_OFFSET / step)
    return np.asarray(np.arange(-most, most + 1) * step, np.float64)


def _peak(lags: Floats, scores: Floats) -> Offset:
    """The place of the highest score, between lags, and how sharp it is."""
    best, step = int(np.nanargmax(scores)), float(lags[1] - lags[0])
    rest, width = 0.0, step
    if 0 < best < len(scores) - 1 and not np.isnan(scores[best - 1 : best + 2]).any():
        left, middle, right = (float(score) for score in scores[best - 1 : best + 2])
        bend = 2 * middle - left - right
        if bend > 0:
            rest = (right - left) / (2 * bend) * step
            # Where a parabola through the peak has lost a tenth of it.
            width = min(1.0, float(np.sqrt(0.2 * max(middle, 0.0) / bend)) * step)
    return Offset(float(lags[best]) + rest, max(width, step / 2))


def _motion(frames: Sequence[UInt8Array], interval: float, blocks: tuple[int, int]) -> Floats:
    """How much changes from each frame to the next in each block, without what changes slowly."""
    small = [
        cv2.GaussianBlur(shrink(frame, 2 * ALIGNED_WIDTH).astype(np.float32), (0, 0), 1.5)
        for frame in frames
    ]
    change = np.array(
        [
            cv2.resize(np.abs(after - before), blocks, interpolation=cv2.INTER_AREA).ravel()
            for before, after in pairwise(small)
        ]
    ).reshape(-1, blocks[0] * blocks[1])
    # The logarithm, so that one cut does not outweigh all the rest.
    change = np.log(change + 0.3)
    span = min(max(1, round(1.0 / interval)), max(len(change) - 1, 1))
    if len(change) < 3:
        return np.asarray(change, np.float64)
    padded = np.pad(change, ((span, span), (0, 0)), mode="reflect")
    sums = np.cumsum(np.pad(padded, ((1, 0), (0, 0))), axis=0)
    slow = (sums[2 * span + 1 :] - sums[: -2 * span - 1]) / (2 * span + 1)
    return np.asarray(change - slow, np.float64)


def _series_scores(
    ir: Recording, vis: Recording, infrared: Floats, visible: Floats, lags: Floats
) -> Floats | None:
    """Correlation of two series of motion at each lag; None where they are too short."""
    scores = []
    for lag in lags:
        moments = vis.times[1:] - lag
        inside = (moments >= ir.times[0]) & (moments <= ir.times[-1])
        if inside.sum() < 20 or len(infrared) < 20:
            scores.append(-1.0)
            continue
        nearest = np.searchsorted(ir.times[1:], moments[inside] - ir.interval / 2)
        one = infrared[np.clip(nearest, 0, len(infrared) - 1)]
        other = visible[inside]
        size = np.sqrt((one**2).sum() * (other**2).sum())
        scores.append(float((one * other).sum() / max(size, 1e-9)))
    return None if max(scores) < 0 else np.array(scores)


def _edge_scores(ir: Recording, vis: Recording, homography: Matrix, lags: Floats) -> Floats | None:
    """Correlation of the edges that change at each lag; None where the recordings are short."""
    inside = np.flatnonzero(
        (vis.times >= LARGEST_OFFSET / 2) & (vis.times <= vis.times[-1] - LARGEST_OFFSET / 2)
    )
    if len(inside) < 10:
        return None
    start = max(0, (len(inside) - COMPARED) // 2)
    numbers = inside[start : start + COMPARED]
    visible, infrared = _aligned_features(ir, vis, homography, numbers)
    scores = np.full(len(lags), np.nan)
    for place, lag in enumerate(lags):
        moments = vis.times[numbers] - lag
        known = (moments >= ir.times[0] - ir.interval) & (moments <= ir.times[-1] + ir.interval)
        if known.sum() < len(numbers) // 2:
            continue
        match = own = other = 0.0
        for number in np.flatnonzero(known):
            one, two = visible[number], infrared[ir.near(float(moments[number]))]
            match += float((one * two).sum())
            own += float(np.square(one).sum())
            other += float(np.square(two).sum())
        scores[place] = match / max(np.sqrt(own * other), 1e-6)
    return None if np.isnan(scores).all() else scores


def _aligned_features(
    ir: Recording, vis: Recording, homography: Matrix, numbers: NDArray[np.int64]
) -> tuple[list[FloatArray], dict[int, FloatArray]]:
    """Features of some visible frames, and of all infrared ones that may belong to them.

    Without what is the same in all frames: that tells nothing about time.
    """
    small = [shrink(vis.frames[number], ALIGNED_WIDTH) for number in numbers]
    size = small[0].shape[::-1]
    mask = inner_mask(size[1], size[0])
    visible = [edge_directions(frame, mask) for frame in small]
    matrix = resized(vis.frames[0].shape[::-1], size) @ homography
    reach = LARGEST_OFFSET + 2 * ir.interval
    start, end = vis.times[numbers[0]] - reach, vis.times[numbers[-1]] + reach
    wanted = np.flatnonzero((ir.times >= start) & (ir.times <= end))
    seen = seen_region(ir.frames[:: max(1, len(ir.frames) // 20)])
    frames: list[UInt8Array] = [ir.frames[number] for number in wanted]
    infrared, known = warped_features(frames, seen, matrix, size)
    changing_visible = _changes(visible, known, vis.interval)
    changing_infrared = _changes(infrared, known, ir.interval)
    return changing_visible, dict(zip(map(int, wanted), changing_infrared, strict=True))


def _changes(
    features: Sequence[FloatArray], known: FloatArray, interval: float
) -> list[FloatArray]:
    """Features without what is about the same a little before and after."""
    reach = max(1, round(AROUND / interval))
    changes = []
    for place, feature in enumerate(features):
        around = features[max(0, place - reach) : place + reach + 1]
        changes.append((feature - np.mean(around, axis=0)) * known[..., None])
    return [np.asarray(change, np.float32) for change in changes]
