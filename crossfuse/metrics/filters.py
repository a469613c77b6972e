"""Linear filters that metrics share, all in float64."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]


def gaussian_taps(size: int, sigma: float) -> Image:
    """Samples of a Gaussian at integer distances from its centre, scaled to sum 1."""
    distance = np.arange(size) - (size - 1) / 2
    taps = np.exp(-(distance**2) / (2 * sigma**2))
    return np.asarray(taps / taps.sum())


def uniform_taps(size: int) -> Image:
    """A plain mean of `size` samples."""
    return np.full(size, 1 / size)


def filter_valid(image: Image, taps: Image) -> Image:
    """Filter rows and columns with symmetric taps; only where the window lies inside the image."""
    margin = len(taps) // 2
    filtered = cv2.sepFilter2D(image, cv2.CV_64F, taps, taps)
    height, width = filtered.shape
    return np.asarray(filtered[margin : height - margin, margin : width - margin])


def filter_zero_padded(image: Image, taps: Image) -> Image:
    """Filter rows and columns with symmetric taps; the image is zero outside its borders."""
    filtered = cv2.sepFilter2D(image, cv2.CV_64F, taps, taps, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(filtered)


def radial_frequency(shape: tuple[int, int], scale: tuple[float, float]) -> Image:
    """Distance from zero on the grid of `np.fft.rfft2`; `scale` is Nyquist, rows then columns."""
    rows = np.fft.fftfreq(shape[0]) * 2 * scale[0]
    columns = np.fft.rfftfreq(shape[1]) * 2 * scale[1]
    return np.asarray(np.hypot(rows[:, None], columns[None, :]))


def filter_spectrum(image: Image, response: Image) -> Image:
    """Filter with a real response on the grid of `np.fft.rfft2`; the image repeats itself."""
    return np.fft.irfft2(np.fft.rfft2(image) * response, s=image.shape)
