"""Pictures that show a person whether a rig is right: a checkerboard of both, edges over both."""

from __future__ import annotations

import cv2
import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.video.rig import Rig, RigAligner

FIELDS = 8
EDGE_COLOUR = (255, 60, 0)


def checkerboard(rig: Rig, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
    """Fields of the aligned infrared and of the visible picture by turns, uint8 HxWx3 RGB.

    ir: uint8 HxW; vis: uint8 HxWx3 RGB or HxW. Edges go on from field to field where the rig is
    right.
    """
    aligned, _ = RigAligner(rig, crop=False).align(ir, vis)
    rows, columns = np.indices(aligned.shape)
    side = max(1, aligned.shape[1] // FIELDS)
    infrared = (rows // side + columns // side) % 2 == 0
    return np.where(infrared[..., None], aligned[..., None], _colour(vis)).astype(np.uint8)


def edges(rig: Rig, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
    """The edges of the aligned infrared picture drawn over the visible one, uint8 HxWx3 RGB."""
    aligned, _ = RigAligner(rig, crop=False).align(ir, vis)
    smooth = cv2.GaussianBlur(aligned, (0, 0), 1.5)
    strong = float(np.percentile(np.abs(cv2.Laplacian(smooth, cv2.CV_32F)), 90)) * 8 + 10
    lines = cv2.Canny(smooth, strong / 2, strong)
    picture = _colour(vis).copy()
    picture[lines > 0] = EDGE_COLOUR
    return picture


def _colour(vis: UInt8Array) -> UInt8Array:
    return vis if vis.ndim == 3 else np.repeat(vis[..., None], 3, axis=2)
