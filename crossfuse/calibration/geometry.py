"""Small helpers with homographies: scaling of pictures, corners, distances."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]
Size = tuple[int, int]


def resized(start: Size, end: Size) -> Matrix:
    """Pixel positions of a picture of size `start` in the same picture resized to `end`."""
    across, down = end[0] / start[0], end[1] / start[1]
    # Centres of pixels lie at whole numbers, so edges of the picture are at -0.5.
    return np.array(
        [[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2], [0, 0, 1]], np.float64
    )


def similarity(scale: float, degrees: float, start: Size, end: Size) -> Matrix:
    """Scales and turns about the middle of a picture, which goes to the middle of another."""
    angle = np.deg2rad(degrees)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = np.eye(3)
    matrix[:2, :2] = turn
    matrix[:2, 2] = (np.array(end) - 1) / 2 - turn @ ((np.array(start) - 1) / 2)
    return matrix


def corners(matrix: Matrix, size: Size) -> NDArray[np.float64]:
    """4x2: where the corners of a picture of this size go."""
    width, height = size
    points = np.array([[[0, 0]], [[width, 0]], [[width, height]], [[0, height]]], np.float64)
    return np.asarray(cv2.perspectiveTransform(points, matrix)[:, 0], np.float64)


def corner_error(one: Matrix, other: Matrix, size: Size) -> float:
    """The largest distance between the corners under two homographies."""
    return float(np.linalg.norm(corners(one, size) - corners(other, size), axis=1).max())


def shrink(picture: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """A picture of at most this width, of the same proportions."""
    if picture.shape[1] <= width:
        return picture
    height = max(16, round(picture.shape[0] * width / picture.shape[1]))
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
