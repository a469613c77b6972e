"""From a coarse alignment to a fine one, with an estimate from many places and many frames.

The picture is cut into overlapping blocks. For each block the shift that fits best is found by
correlating edge directions, summed over all frames; how sharp the peak is in which direction says
how much the shift is worth. A homography is fitted to the shifts, those that do not agree with the
others losing their weight, and all is done again with the pictures it aligns.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.calibration.features import (
    FloatArray,
    UInt8Array,
    edge_directions,
    inner_mask,
    seen_region,
    warped_features,
)
from crossfuse.calibration.geometry import Matrix, resized, shrink

COLUMNS, ROWS = 8, 6
# Blocks are this part of the picture, across and down.
BLOCK = (0.2, 0.25)
LEAST_SEEN = 0.5
LEAST_BLOCKS = 8
# Prior spread of the eight numbers of a correction, relative to half the picture's width: scale,
# turn, two shifts; aspect, shear and two perspectives, which no rig has much of.
PRIOR = np.array([0.15, 0.15, 0.2, 0.2, 0.01, 0.01, 0.02, 0.02])
AGREES_WITHIN = 1.5
ROUNDS = 15


@dataclass(frozen=True, slots=True)
class Level:
    """One scale of the pictures: width, how far blocks are searched, rounds, numbers fitted."""

    width: int
    reach: int
    rounds: int
    numbers: int


COARSE = Level(160, 10, 4, 4)
FINE = Level(320, 8, 4, 8)


@dataclass(frozen=True, slots=True)
class Refined:
    """An alignment, how well pictures fit under it (-1 to 1), and the share of agreeing blocks."""

    homography: Matrix
    fit: float
    agreement: float


@dataclass(frozen=True, slots=True, eq=False)
class _Shift:
    """How far a block of the infrared picture lies off, and how much that is worth."""

    place: NDArray[np.float64]
    shift: NDArray[np.float64]
    worth: NDArray[np.float64]


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
    fit = agreement = 0.0
    for turn in range(level.rounds):
        infrared, known = warped_features(small_ir, seen, matrix, size)
        fit = _fit(visible, infrared, known)
        reach = max(3, level.reach - 3 * turn)
        shifts = list(_block_shifts(visible, infrared, known, reach))
        if len(shifts) < LEAST_BLOCKS:
            return None
        numbers, agreement = _correction(shifts, size, total)
        total += numbers
        matrix = _step(numbers, size) @ matrix
        matrix = np.asarray(matrix / matrix[2, 2], np.float64)
    homography = np.linalg.inv(to_small) @ matrix @ np.linalg.inv(from_small_ir)
    return Refined(homography / homography[2, 2], fit, agreement)


def _fit(visible: Sequence[FloatArray], infrared: Sequence[FloatArray], known: FloatArray) -> float:
    """Correlation of the edge directions where both are known."""
    common = own = other = 0.0
    for one, two in zip(visible, infrared, strict=True):
        common += float((one * two).sum())
        own += float((np.square(one).sum(axis=2) * known).sum())
        other += float(np.square(two).sum())
    return common / max(math.sqrt(own * other), 1e-6)


def _block_shifts(
    visible: Sequence[FloatArray], infrared: Sequence[FloatArray], known: FloatArray, reach: int
) -> Iterator[_Shift]:
    height, width = known.shape
    across, down = round(BLOCK[0] * width), round(BLOCK[1] * height)
    for top in np.linspace(reach, height - down - reach, ROWS).astype(int):
        for left in np.linspace(reach, width - across - reach, COLUMNS).astype(int):
            block = (slice(top, top + down), slice(left, left + across))
            if known[block].mean() < LEAST_SEEN:
                continue
            wide = (
                slice(top - reach, top + down + reach),
                slice(left - reach, left + across + reach),
            )
            surface = np.zeros((2 * reach + 1, 2 * reach + 1))
            energy = 0.0
            for one, two in zip(visible, infrared, strict=True):
                template = one[block] * known[block][..., None]
                surface += cv2.matchTemplate(two[wide], template, cv2.TM_CCORR)
                energy += float(np.square(template).sum())
            peak = _peak(surface / max(energy, 1e-6))
            if peak is not None:
                middle = np.array([left + across / 2, top + down / 2])
                yield _Shift(middle + peak[0], peak[0], peak[1])


def _peak(
    surface: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Place of the peak beside the middle, between pixels, and its sharpness as a 2x2 matrix."""
    reach = surface.shape[0] // 2
    y, x = np.unravel_index(int(surface.argmax()), surface.shape)
    if not (0 < y < 2 * reach and 0 < x < 2 * reach):
        return None
    near = surface[y - 1 : y + 2, x - 1 : x + 2]
    mixed = -(near[2, 2] + near[0, 0] - near[0, 2] - near[2, 0]) / 4
    sharpness = np.array(
        [
            [2 * near[1, 1] - near[1, 0] - near[1, 2], mixed],
            [mixed, 2 * near[1, 1] - near[0, 1] - near[2, 1]],
        ]
    )
    if np.linalg.eigvalsh(sharpness)[0] <= 1e-6:
        return None
    slope = np.array([near[1, 2] - near[1, 0], near[2, 1] - near[0, 1]]) / 2
    rest = np.linalg.solve(sharpness, slope)
    if np.abs(rest).max() > 1:
        return None
    return np.array([x - reach, y - reach]) + rest, sharpness


def _correction(
    shifts: Sequence[_Shift], size: tuple[int, int], total: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """The numbers that undo the shifts, and the share of blocks that agree with them.

    total: the corrections so far, which count against the prior.
    """
    middle, half = np.array(size) / 2, size[0] / 2
    places = np.array([(shift.place - middle) / half for shift in shifts])
    targets = np.array([-shift.shift / half for shift in shifts])
    worths = np.array([shift.worth for shift in shifts])
    worths /= np.median(np.trace(worths, axis1=1, axis2=2))
    design = _design(places)[:, :, : len(total)]
    prior = np.diag(1 / (half * PRIOR[: len(total)]) ** 2)
    weights = np.ones(len(shifts))
    numbers = np.zeros(len(total))
    distance = np.zeros(len(shifts))
    for _ in range(ROUNDS):
        normal = np.einsum("nik,nij,njl,n->kl", design, worths, design, weights) + prior
        right = np.einsum("nik,nij,nj,n->k", design, worths, targets, weights) - prior @ total
        numbers = np.linalg.solve(normal, right)
        left = (targets - np.einsum("nij,j->ni", design, numbers)) * half
        distance = np.linalg.norm(left, axis=1)
        weighted = np.sqrt(np.einsum("ni,nij,nj->n", left, worths, left))
        weights = 1 / (1 + np.square(weighted / (2 * max(1.4826 * np.median(weighted), 0.15))))
    return numbers, float((distance < AGREES_WITHIN).mean())


def _step(numbers: NDArray[np.float64], size: tuple[int, int]) -> Matrix:
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


def _design(places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Nx2x8: how each number moves a place, to first order."""
    x, y = places[:, 0], places[:, 1]
    one, zero = np.ones_like(x), np.zeros_like(x)
    across = np.stack([x, -y, one, zero, x, y, x * x, x * y], axis=1)
    down = np.stack([y, x, zero, one, -y, x, x * y, y * y], axis=1)
    return np.stack([across, down], axis=1)
