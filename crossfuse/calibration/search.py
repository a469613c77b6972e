"""The coarse search: all scales, turns and shifts that two cameras on one rig may have.

For every scale and turn one correlation by Fourier transform tries all shifts at once, summed
over many frames: what is common to all of them stands out, what is common to one by chance does
not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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
from crossfuse.calibration.geometry import Matrix, resized, shrink, similarity

WIDTH = 96
SCALES = tuple(np.exp(np.arange(np.log(0.6), np.log(1.65), 0.055)))
TURNS = tuple(float(turn) for turn in range(-8, 9, 2))
# The two pictures must share this much of the visible one.
LEAST_OVERLAP = 0.3
# Candidates nearer than this are one and the same.
OTHER_SCALE = 0.06
OTHER_TURN = 2.5
OTHER_SHIFT = 0.08


@dataclass(frozen=True, slots=True)
class Candidate:
    """A coarse alignment; the homography takes infrared positions to visible ones."""

    score: float
    scale: float
    turn: float
    homography: Matrix


def search(
    ir: Sequence[UInt8Array], vis: Sequence[UInt8Array], *, keep: int = 3
) -> list[Candidate]:
    """The best distinct alignments, best first, from pairs of uint8 HxW pictures of one moment."""
    ir_size, vis_size = ir[0].shape[::-1], vis[0].shape[::-1]
    small_ir = [shrink(frame, WIDTH) for frame in ir]
    small_vis = [shrink(frame, WIDTH) for frame in vis]
    small_size = small_vis[0].shape[::-1]
    to_small_ir = resized(ir_size, small_ir[0].shape[::-1])
    from_small_vis = np.linalg.inv(resized(vis_size, small_size))
    seen = seen_region(small_ir)
    visible = _Visible(small_vis)
    # Of the same field of view whatever the sizes: scale 1 fills the visible picture.
    fill = small_size[0] / small_ir[0].shape[1]
    found = []
    for scale in SCALES:
        for turn in TURNS:
            matrix = similarity(scale * fill, turn, small_ir[0].shape[::-1], visible.canvas)
            features, mask = warped_features(small_ir, seen, matrix, visible.canvas)
            score, shift = visible.best_shift(features, mask)
            moved = np.array([[1, 0, -shift[0]], [0, 1, -shift[1]], [0, 0, 1]], np.float64)
            homography = from_small_vis @ moved @ matrix @ to_small_ir
            found.append(Candidate(score, scale, turn, homography))
    found.sort(key=lambda candidate: -candidate.score)
    best: list[Candidate] = []
    for candidate in found:
        if all(_differ(candidate, other, vis_size[0]) for other in best):
            best.append(candidate)
        if len(best) == keep:
            break
    return best


def _differ(one: Candidate, other: Candidate, width: int) -> bool:
    shift = np.abs((one.homography - other.homography)[:2, 2]).max()
    return bool(
        abs(np.log(one.scale / other.scale)) > OTHER_SCALE
        or abs(one.turn - other.turn) > OTHER_TURN
        or shift > OTHER_SHIFT * width
    )


class _Visible:
    """The visible frames, transformed once for all correlations."""

    def __init__(self, frames: Sequence[UInt8Array]) -> None:
        self._height, self._width = frames[0].shape
        self.canvas = (round(1.7 * self._width), round(1.7 * self._height))
        """Room for the infrared picture at every scale and turn."""
        self._shape = tuple(cv2.getOptimalDFTSize(round(2.2 * side)) for side in frames[0].shape)
        mask = inner_mask(self._height, self._width)
        features = [edge_directions(frame, mask) for frame in frames]
        energy = np.sum([np.square(feature).sum(axis=2) for feature in features], axis=0)
        self._area = float(mask.sum())
        self._frames = [np.conj(self._transform(_complex(feature))) for feature in features]
        self._energy = np.conj(self._transform(energy))
        self._mask = np.conj(self._transform(mask))

    def best_shift(
        self, features: Sequence[FloatArray], mask: FloatArray
    ) -> tuple[float, tuple[int, int]]:
        """The shift of the visible picture on the canvas that fits best, and how well it does."""
        common = np.sum(
            [
                self._transform(_complex(feature)) * frame
                for feature, frame in zip(features, self._frames, strict=True)
            ],
            axis=0,
        )
        energy = np.sum([np.square(feature).sum(axis=2) for feature in features], axis=0)
        known = self._transform(mask)
        match = _back(common)
        of_visible = _back(known * self._energy)
        of_infrared = _back(self._transform(energy) * self._mask)
        overlap = _back(known * self._mask) / self._area
        # A good fit of a small part says less than one of a large part.
        score = match / np.sqrt(np.maximum(of_visible * of_infrared, 1e-3))
        score *= np.sqrt(np.clip(overlap, 0, 1))
        score[overlap < LEAST_OVERLAP] = -1
        y, x = np.unravel_index(int(score.argmax()), score.shape)
        rows, columns = self._shape
        down = int(y) if y < rows - self._height else int(y) - rows
        across = int(x) if x < columns - self._width else int(x) - columns
        return float(score[y, x]), (across, down)

    def _transform(self, picture: NDArray[np.generic]) -> NDArray[np.complex64]:
        padded = np.zeros(self._shape, np.complex64)
        padded[: picture.shape[0], : picture.shape[1]] = picture
        return _fourier(padded)


def _complex(feature: FloatArray) -> NDArray[np.complex64]:
    return np.asarray(feature[..., 0] + 1j * feature[..., 1], np.complex64)


def _fourier(values: NDArray[np.complex64], flags: int = 0) -> NDArray[np.complex64]:
    """By OpenCV, which is several times faster than numpy in single precision."""
    pairs = np.ascontiguousarray(values).view(np.float32).reshape(*values.shape, 2)
    return np.ascontiguousarray(cv2.dft(pairs, flags=flags)).view(np.complex64)[..., 0]


def _back(spectrum: NDArray[np.complex64]) -> NDArray[np.float32]:
    flags = cv2.DFT_INVERSE | cv2.DFT_SCALE
    return np.asarray(_fourier(spectrum.astype(np.complex64), flags).real, np.float32)
