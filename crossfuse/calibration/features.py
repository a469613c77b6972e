"""What infrared and visible pictures have in common: where edges are, and how they lie.

Grey levels of the two have nothing to do with each other, and warm things may be light or dark in
the visible picture. The direction of an edge survives, up to its sign; doubling the angle takes the
sign away. Strength counts only beside that of the surroundings.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.arrays import UInt8Array

FloatArray = NDArray[np.float32]

BLUR = 1.0
# How far around a pixel an edge is compared with the others.
SURROUNDINGS = 8.0
# A region of the infrared picture at most this bright in all frames, and reaching its border, is
# where the camera gave nothing: letterboxing, or the outside of an earlier warp.
NOTHING = 16
LEAST_REGION = 0.002


def edge_directions(grey: UInt8Array, mask: FloatArray) -> FloatArray:
    """Edges of a uint8 HxW picture as HxWx2: cosine and sine of twice their angle, times 0..1."""
    smooth = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), BLUR)
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=1 / 8)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=1 / 8)
    squared = across * across + down * down
    strength = np.sqrt(squared)
    around = cv2.GaussianBlur(strength, (0, 0), SURROUNDINGS)
    noise = 0.7 * float(np.median(strength)) + 0.5
    weight = strength / (strength + around + noise) * mask / np.maximum(squared, 1e-6)
    cosine = (across * across - down * down) * weight
    sine = 2 * across * down * weight
    return np.dstack([cosine, sine]).astype(np.float32)


def seen_region(frames: Sequence[UInt8Array]) -> UInt8Array:
    """1 where a camera gives a picture, 0 in its black margins; HxW of frames of that size."""
    brightest = np.max([cv2.GaussianBlur(frame, (0, 0), 1.5) for frame in frames], axis=0)
    dark = (brightest <= NOTHING).astype(np.uint8)
    _, labels = cv2.connectedComponents(dark)
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    seen = np.ones(dark.shape, np.uint8)
    for label in np.unique(border[border > 0]):
        region = labels == label
        if region.mean() > LEAST_REGION:
            seen[region] = 0
    return seen


def inner_mask(height: int, width: int, margin: int = 2) -> FloatArray:
    """1 inside and 0 in a margin, where edges are those of the picture itself."""
    mask = np.zeros((height, width), np.float32)
    mask[margin:-margin, margin:-margin] = 1
    return mask


def warped_features(
    frames: Sequence[UInt8Array],
    seen: UInt8Array,
    matrix: NDArray[np.float64],
    size: tuple[int, int],
) -> tuple[list[FloatArray], FloatArray]:
    """Edge directions of frames after a warp into `size` (width, height), and where they are known.

    Warped first: directions turn with the picture.
    """
    mask = cv2.warpPerspective(seen, matrix, size, flags=cv2.INTER_NEAREST)
    mask = cv2.erode(mask, np.ones((5, 5), np.uint8), borderValue=0).astype(np.float32)
    features = [
        edge_directions(
            np.asarray(
                cv2.warpPerspective(frame, matrix, size, borderMode=cv2.BORDER_REPLICATE), np.uint8
            ),
            np.asarray(mask, np.float32),
        )
        for frame in frames
    ]
    return features, np.asarray(mask, np.float32)
