"""How the pictures of a set that counts as registered lie off each other themselves.

Lenses that differ, and things at several distances, leave shifts that no homography describes: in
MSRS they grow to 4 pixels and go back to none at the corners. They are measured like a rig, by the
edges of blocks, but as polynomials over the place, on frames that no case uses.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.arrays import UInt8Array
from crossfuse.calibration.blocks import Correlation, correlate, shifts_of
from crossfuse.calibration.features import edge_directions, inner_mask, seen_region
from crossfuse.calibration.geometry import Matrix, shrink

Floats = NDArray[np.float64]

WIDTH = 320
ORDER = 3
ROUNDS, FIRST_REACH, LAST_REACH = 5, 8, 3
FITTINGS = 15
LEAST_NOISE = 0.15
# Keeps what no block decides near zero.
RIDGE = 1e-2


class OwnAlignment:
    """Where the infrared picture of a set shows what the visible one shows at a place."""

    def __init__(self, ir: Sequence[UInt8Array], vis: Sequence[UInt8Array]) -> None:
        """ir, vis: uint8 HxW of one size."""
        self._width = ir[0].shape[1]
        small_ir = [shrink(frame, WIDTH) for frame in ir]
        small_vis = [shrink(frame, WIDTH) for frame in vis]
        height = small_vis[0].shape[0]
        self._middle = np.array([WIDTH, height]) / 2
        self._measured = np.empty((0, 2))
        self._numbers = np.zeros(((ORDER + 1) * (ORDER + 2) // 2, 2))
        mask, seen = inner_mask(height, WIDTH), seen_region(small_ir)
        visible = [edge_directions(frame, mask) for frame in small_vis]
        grid = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(height)), axis=-1).astype(float)
        for turn in range(ROUNDS):
            places = (grid + self._terms(grid) @ self._numbers).astype(np.float32)
            known = cv2.remap(seen, places[..., 0], places[..., 1], cv2.INTER_NEAREST)
            known = cv2.erode(known, np.ones((5, 5), np.uint8), borderValue=0).astype(np.float32)
            infrared = [
                edge_directions(_taken(frame, places), np.asarray(known, np.float32))
                for frame in small_ir
            ]
            reach = max(LAST_REACH, FIRST_REACH - 2 * turn)
            self._fit(correlate(visible, infrared, np.asarray(known, np.float32), reach))

    def infrared_places(self, places: Floats) -> Floats:
        """Positions of ...x2 in the visible picture as positions in the infrared one."""
        # Beyond the picture the shift is that of its border: polynomials run away.
        scale = self._width / WIDTH
        small = np.clip((places + 0.5) / scale - 0.5, 0, 2 * self._middle - 1)
        return np.asarray(places + scale * (self._terms(small) @ self._numbers), np.float64)

    def composed(self, truth: Matrix, size: tuple[int, int]) -> Matrix:
        """What an infrared camera warped by `truth` has as its nearest homography to the visible.

        Nearest over the blocks that the shifts were measured in and that both cameras see.
        """
        places = self._measured
        raw = self.infrared_places(places)
        rig = cv2.perspectiveTransform(raw[:, None], np.linalg.inv(truth))[:, 0]
        seen = np.all((rig >= 0) & (rig <= np.array(size) - 1), axis=1)
        found, _ = cv2.findHomography(rig[seen], places[seen])
        return np.asarray(found, np.float64)

    def _terms(self, places: Floats) -> Floats:
        x, y = np.moveaxis((places - self._middle) / self._middle[0], -1, 0)
        powers = [(i, j) for i in range(ORDER + 1) for j in range(ORDER + 1 - i)]
        return np.stack([x**i * y**j for i, j in powers], axis=-1)

    def _fit(self, blocks: Sequence[Correlation]) -> None:
        """The polynomials that the blocks agree on, those that do not losing their weight."""
        shifts = shifts_of(blocks)
        places = np.array([shift.place - shift.shift for shift in shifts])
        self._measured = (places + 0.5) * self._width / WIDTH - 0.5
        terms = self._terms(places)
        targets = terms @ self._numbers + np.array([shift.shift for shift in shifts])
        worths = np.array([shift.worth for shift in shifts])
        worths /= np.median(np.trace(worths, axis1=1, axis2=2))
        weights = np.ones(len(shifts))
        count = 2 * terms.shape[1]
        for _ in range(FITTINGS):
            normal = np.einsum("ni,nab,nj,n->iajb", terms, worths, terms, weights)
            right = np.einsum("ni,nab,nb,n->ia", terms, worths, targets, weights)
            numbers = np.linalg.solve(
                normal.reshape(count, count) + RIDGE * np.eye(count), right.ravel()
            )
            self._numbers = numbers.reshape(-1, 2)
            left = targets - terms @ self._numbers
            distance = np.sqrt(np.einsum("ni,nij,nj->n", left, worths, left))
            typical = max(1.4826 * float(np.median(distance)), LEAST_NOISE)
            weights = 1 / (1 + np.square(distance / (2 * typical)))


def _taken(picture: UInt8Array, places: NDArray[np.float32]) -> UInt8Array:
    return np.asarray(
        cv2.remap(
            picture,
            places[..., 0],
            places[..., 1],
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )
