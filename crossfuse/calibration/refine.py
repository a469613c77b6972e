"""From a coarse alignment to a fine one, with an estimate from many places and many frames.

A homography is fitted to the shifts of the blocks, those that do not agree with the others losing
their weight, and all is done again with the pictures it aligns, so that blocks are compared where
they fit. What they say of the rig in the end, and how surely, `certainty` tells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossfuse.arrays import UInt8Array
from crossfuse.calibration.blocks import OVERLAPPING, Correlation, Shift, correlate, shifts_of
from crossfuse.calibration.certainty import believe
from crossfuse.calibration.features import (
    FloatArray,
    edge_directions,
    inner_mask,
    seen_region,
    warped_features,
)
from crossfuse.calibration.geometry import (
    Matrix,
    Size,
    corner_error,
    corners,
    resized,
    shrink,
)

Floats = NDArray[np.float64]

LEAST_BLOCKS = 8
# Prior spread of the eight numbers of a correction, relative to half the picture's width: scale,
# turn, two shifts; aspect, shear and two perspectives, which no rig has much of.
PRIOR = np.array([0.15, 0.15, 0.2, 0.2, 0.01, 0.01, 0.02, 0.02])
AGREES_WITHIN = 1.5
ROUNDS = 15
# Pixels: what is no disagreement yet, and how exact blocks are at best beside the prior, however
# well they agree: lenses and distances leave shifts that no homography describes.
LEAST_TYPICAL = 0.15
LEAST_NOISE = 1.0
# Rounds before the last two make do with so many pairs.
FIRST_PAIRS = 24


@dataclass(frozen=True, slots=True)
class Level:
    """One scale of the pictures: width, how far blocks are searched, rounds, numbers fitted.

    Four numbers are a similar picture; of eight it is also told how sure they are.
    """

    width: int
    reach: int
    rounds: int
    numbers: int


COARSE = Level(160, 10, 4, 4)
FINE = Level(320, 8, 4, 8)


@dataclass(frozen=True, slots=True)
class Refined:
    """An alignment, and what tells how good it is."""

    homography: Matrix
    fit: float
    """How well the pictures fit under it, -1 to 1."""
    agreement: float
    """Share of the blocks that agree with it."""
    spread: float
    """How far the corners lie apart that two halves of the pairs give, in visible pixels."""
    uncertainty: float | None
    """Standard deviation of the least sure corner, in visible pixels; None of four numbers."""


def refine(
    homography: Matrix, ir: Sequence[UInt8Array], vis: Sequence[UInt8Array], level: Level
) -> Refined | None:
    """Improve a homography on pairs of uint8 HxW pictures; None where too few blocks fit."""
    small_vis = [shrink(frame, level.width) for frame in vis]
    small_ir = [shrink(frame, round(1.25 * level.width)) for frame in ir]
    size = small_vis[0].shape[::-1]
    to_small = resized(vis[0].shape[::-1], size)
    from_small_ir = np.linalg.inv(resized(ir[0].shape[::-1], small_ir[0].shape[::-1]))
    seen = seen_region(small_ir)
    mask = inner_mask(size[1], size[0])
    visible = [edge_directions(frame, mask) for frame in small_vis]
    matrix: Matrix = to_small @ homography @ from_small_ir
    total = np.zeros(level.numbers)
    covariance: Floats | None = None
    fit = agreement = spread = 0.0
    for turn in range(level.rounds):
        rough = turn < level.rounds - 2
        some = slice(None, None, math.ceil(len(visible) / FIRST_PAIRS) if rough else 1)
        infrared, known = warped_features(small_ir[some], seen, matrix, size)
        fit = _fit(visible[some], infrared, known)
        reach = max(3, level.reach - 3 * turn)
        blocks = correlate(visible[some], infrared, known, reach)
        shifts = shifts_of(blocks)
        if len(shifts) < LEAST_BLOCKS:
            return None
        spread = _spread(blocks, matrix, small_ir[0].shape[::-1], size, total)
        off = _misfit(shifts, size, level.numbers)
        numbers = _correction(off, total)
        if turn == level.rounds - 1 and level.numbers == len(PRIOR):
            targets = off.targets + off.design @ total
            belief = believe(off.design, targets, off.worths, off.places, off.half)
            numbers, covariance = belief.numbers - total, belief.covariance
        agreement = float((np.linalg.norm(off.left(numbers), axis=1) < AGREES_WITHIN).mean())
        total += numbers
        matrix = _step(numbers, size) @ matrix
        matrix = np.asarray(matrix / matrix[2, 2], np.float64)
    enlarged = vis[0].shape[1] / size[0]
    uncertainty = (
        None
        if covariance is None
        else enlarged * _uncertainty(covariance, corners(matrix, small_ir[0].shape[::-1]), size)
    )
    homography = np.linalg.inv(to_small) @ matrix @ np.linalg.inv(from_small_ir)
    return Refined(homography / homography[2, 2], fit, agreement, spread * enlarged, uncertainty)


def _fit(visible: Sequence[FloatArray], infrared: Sequence[FloatArray], known: FloatArray) -> float:
    """Correlation of the edge directions where both are known."""
    common = own = other = 0.0
    for one, two in zip(visible, infrared, strict=True):
        common += float((one * two).sum())
        own += float((np.square(one).sum(axis=2) * known).sum())
        other += float(np.square(two).sum())
    return common / max(math.sqrt(own * other), 1e-6)


def _spread(
    blocks: Sequence[Correlation], matrix: Matrix, ir_size: Size, size: Size, total: Floats
) -> float:
    """The largest distance between the corners that even and odd pairs give."""
    halves = [shifts_of(blocks, slice(part, part + 1)) for part in (0, 1)]
    if min(map(len, halves)) < LEAST_BLOCKS:
        return math.inf
    one, other = (
        _step(_correction(_misfit(half, size, len(total)), total), size) @ matrix for half in halves
    )
    return corner_error(one, other, ir_size)


@dataclass(frozen=True, slots=True, eq=False)
class _Misfit:
    """How N blocks are off and how numbers would move them, relative to half the width."""

    half: float
    """Half the width, in pixels."""
    places: Floats
    targets: Floats
    worths: Floats
    design: Floats

    def left(self, numbers: Floats) -> Floats:
        """Nx2 pixels that these numbers leave."""
        return np.asarray((self.targets - self.design @ numbers) * self.half, np.float64)


def _misfit(shifts: Sequence[Shift], size: Size, count: int) -> _Misfit:
    half = size[0] / 2
    places = np.array([(shift.place - np.array(size) / 2) / half for shift in shifts])
    worths = np.array([shift.worth for shift in shifts])
    return _Misfit(
        half,
        places,
        np.array([-shift.shift / half for shift in shifts]),
        worths / np.median(np.trace(worths, axis1=1, axis2=2)),
        _design(places)[:, :, :count],
    )


def _correction(off: _Misfit, total: Floats) -> Floats:
    """The numbers that undo the shifts.

    total: the corrections so far, which count against the prior.
    """
    design, worths = off.design, off.worths
    prior = np.diag(1 / (off.half * PRIOR[: len(total)]) ** 2)
    weights = np.ones(len(worths))
    numbers = np.zeros(len(total))
    noise = LEAST_NOISE**2
    for _ in range(ROUNDS):
        normal = np.einsum("nik,nij,njl,n->kl", design, worths, design, weights / noise) + prior
        right = np.einsum("nik,nij,nj,n->k", design, worths, off.targets, weights / noise)
        right -= prior @ total
        numbers = np.linalg.solve(normal, right)
        left = off.left(numbers)
        weighted = np.sqrt(np.einsum("ni,nij,nj->n", left, worths, left))
        typical = max(1.4826 * float(np.median(weighted)), LEAST_TYPICAL)
        noise = max(LEAST_NOISE**2, OVERLAPPING * typical**2)
        weights = 1 / (1 + np.square(weighted / (2 * typical)))
    return numbers


def _uncertainty(covariance: Floats, places: Floats, size: Size) -> float:
    """The standard deviation of the least sure of some places, in pixels."""
    moved = _design((places - np.array(size) / 2) / (size[0] / 2))
    variances = np.einsum("nik,kl,nil->n", moved, covariance, moved)
    return float(np.sqrt(variances.max())) * size[0] / 2


def _step(numbers: Floats, size: Size) -> Matrix:
    """The homography of these numbers, in pixels."""
    scale, turn, right, down, aspect, shear, tilt, pitch = np.pad(numbers, (0, 8 - len(numbers)))
    step = np.array(
        [
            [1 + scale + aspect, shear - turn, right],
            [shear + turn, 1 + scale - aspect, down],
            [-tilt, -pitch, 1],
        ]
    )
    half = size[0] / 2
    to_unit = np.array(
        [[1 / half, 0, -1], [0, 1 / half, -size[1] / size[0]], [0, 0, 1]], np.float64
    )
    return np.asarray(np.linalg.inv(to_unit) @ step @ to_unit, np.float64)


def _design(places: Floats) -> Floats:
    """Nx2x8: how each number moves a place, to first order."""
    x, y = places[:, 0], places[:, 1]
    one, zero = np.ones_like(x), np.zeros_like(x)
    across = np.stack([x, -y, one, zero, x, y, x * x, x * y], axis=1)
    down = np.stack([y, x, zero, one, -y, x, x * y, y * y], axis=1)
    return np.stack([across, down], axis=1)
