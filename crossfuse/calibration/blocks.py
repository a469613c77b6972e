"""How far each block of the infrared picture lies off, from many frames at once.

The picture is cut into overlapping blocks. For each block the shift that fits best is found by
correlating edge directions, summed over all frames; how sharp the peak is in which direction says
how much the shift is worth. Even and odd pairs are summed apart, so that each half can be asked
alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.calibration.features import FloatArray

COLUMNS, ROWS = 8, 6
# Blocks are this part of the picture, across and down.
BLOCK = (0.2, 0.25)
LEAST_SEEN = 0.5
# In so many blocks each place of the picture counts.
OVERLAPPING = COLUMNS * ROWS * BLOCK[0] * BLOCK[1]


@dataclass(frozen=True, slots=True, eq=False)
class Correlation:
    """A block at all shifts: 2xNxN, of even and of odd pairs, and what a perfect fit would give."""

    middle: NDArray[np.float64]
    surfaces: NDArray[np.float64]
    energies: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Shift:
    """How far a block of the infrared picture lies off, and how much that is worth."""

    place: NDArray[np.float64]
    shift: NDArray[np.float64]
    worth: NDArray[np.float64]


def correlate(
    visible: Sequence[FloatArray], infrared: Sequence[FloatArray], known: FloatArray, reach: int
) -> list[Correlation]:
    """All blocks that both cameras see, each at all shifts of up to `reach` pixels.

    known: 1 where the infrared picture is known, HxW. Only what stays known under every shift
    counts: else shifts that bring in more of the picture seem to fit better.
    """
    sure = cv2.erode(known, np.ones((2 * reach + 1, 2 * reach + 1)), borderValue=0)
    found = []
    for block, wide in _blocks(known.shape, reach):
        if known[block].mean() < LEAST_SEEN or not sure[block].any():
            continue
        surfaces = np.zeros((2, 2 * reach + 1, 2 * reach + 1))
        energies = np.zeros(2)
        for number, (one, two) in enumerate(zip(visible, infrared, strict=True)):
            template = one[block] * sure[block][..., None]
            surfaces[number % 2] += cv2.matchTemplate(two[wide], template, cv2.TM_CCORR)
            energies[number % 2] += float(np.square(template).sum())
        down, across = np.nonzero(sure[block])
        middle = np.array([block[1].start + across.mean(), block[0].start + down.mean()])
        found.append(Correlation(middle, surfaces, energies))
    return found


def shifts_of(correlations: Sequence[Correlation], half: slice = slice(None)) -> list[Shift]:
    """The best shift of each block that has one, of all pairs or of half of them."""
    shifts = []
    for block in correlations:
        energy = max(float(block.energies[half].sum()), 1e-6)
        peak = _peak(block.surfaces[half].sum(axis=0) / energy)
        if peak is not None:
            shifts.append(Shift(block.middle + peak[0], *peak))
    return shifts


def _blocks(
    shape: tuple[int, ...], reach: int
) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Each block, and the block with all that may be shifted into it."""
    height, width = shape
    across, down = round(BLOCK[0] * width), round(BLOCK[1] * height)
    for top in np.linspace(reach, height - down - reach, ROWS).astype(int):
        for left in np.linspace(reach, width - across - reach, COLUMNS).astype(int):
            yield (
                (slice(top, top + down), slice(left, left + across)),
                (
                    slice(top - reach, top + down + reach),
                    slice(left - reach, left + across + reach),
                ),
            )


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
