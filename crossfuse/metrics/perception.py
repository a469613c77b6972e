"""Measures built on the contrast sensitivity of the eye: Qcb and Qcv."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.metrics.filters import (
    filter_spectrum,
    filter_zero_padded,
    radial_frequency,
)
from crossfuse.metrics.picture import Picture, SourcePair

Image = NDArray[np.float64]

# Sizes of pictures repeat: the filters of the last few are kept.
KEPT_SIZES = 8
REGION = 16
# The published filters are Gaussians of peak 1 / (2 pi sigma^2), cut at 15 pixels.
NARROW, WIDE = (
    np.exp(-(np.arange(-15, 16) ** 2) / (2 * sigma**2)) / (np.sqrt(2 * np.pi) * sigma)
    for sigma in (2, 4)
)


def _stretched(picture: Picture) -> Image:
    """Grey levels stretched to 0..255 and rounded; the picture must not be constant."""
    low, high = picture.values.min(), picture.values.max()
    return np.asarray(np.rint((picture.values - low) / (high - low) * 255))


def _any_constant(pair: SourcePair, fused: Picture) -> bool:
    return any(picture.is_constant for picture in (fused, *pair.pictures))


@lru_cache(maxsize=KEPT_SIZES)
def _contrast_sensitivity(shape: tuple[int, int]) -> Image:
    """The difference of Gaussians of Chen and Blum."""
    frequency = radial_frequency(shape, (shape[0] / 30, shape[1] / 30))
    return np.asarray(
        np.exp(-((frequency / 15.3870) ** 2)) - 0.7622 * np.exp(-((frequency / 1.3456) ** 2))
    )


@lru_cache(maxsize=KEPT_SIZES)
def _mannos_sakrison(shape: tuple[int, int]) -> Image:
    """The contrast sensitivity of Mannos and Sakrison."""
    frequency = 0.144 * radial_frequency(shape, (shape[0] / 8, shape[1] / 8))
    return np.asarray(2.6 * (0.0192 + frequency) * np.exp(-(frequency**1.1)))


def _masked_contrast(picture: Picture) -> Image:
    """Local band-limited contrast after contrast sensitivity filtering, with masking."""
    sensitivity = _contrast_sensitivity(picture.shape)
    seen = filter_spectrum(picture.derive(_stretched), sensitivity)
    surround = filter_zero_padded(seen, WIDE)
    centre = filter_zero_padded(seen, NARROW)
    ratio = np.divide(centre, surround, out=np.ones_like(centre), where=surround != 0)
    contrast = np.abs(ratio - 1)
    squared = contrast * contrast
    return np.asarray(squared * contrast / (squared + 0.0001))


def qcb(pair: SourcePair, fused: Picture) -> float:
    """Qcb; NaN where a picture is constant."""
    if _any_constant(pair, fused):
        return float("nan")
    own = fused.derive(_masked_contrast)
    quality = np.zeros(fused.shape)
    weights = np.zeros(fused.shape)
    for source in pair.pictures:
        contrast = source.derive(_masked_contrast)
        weaker, stronger = np.minimum(contrast, own), np.maximum(contrast, own)
        preserved = np.divide(weaker, stronger, out=np.ones_like(weaker), where=stronger > 0)
        quality += contrast**2 * preserved
        weights += contrast**2
    # Where neither source has contrast there is nothing to preserve.
    return float((quality[weights > 0] / weights[weights > 0]).mean())


def _region_sums(values: Image) -> Image:
    """Sums over 16x16 regions; the last ones are filled up with zeros."""
    height, width = values.shape
    padded = np.pad(values, ((0, -height % REGION), (0, -width % REGION)))
    rows, columns = padded.shape[0] // REGION, padded.shape[1] // REGION
    return np.asarray(padded.reshape(rows, REGION, columns, REGION).sum(axis=(1, 3)))


def _salience(picture: Picture) -> Image:
    """Fifth power of the edge strength, summed over each region."""
    image = picture.derive(_stretched)
    right = cv2.Sobel(image, cv2.CV_64F, 1, 0, borderType=cv2.BORDER_CONSTANT)
    down = cv2.Sobel(image, cv2.CV_64F, 0, 1, borderType=cv2.BORDER_CONSTANT)
    squared = np.asarray(right**2 + down**2, np.float64)
    return _region_sums(squared**2 * np.sqrt(squared))


def _as_perceived(picture: Picture) -> Image:
    return filter_spectrum(picture.derive(_stretched), _mannos_sakrison(picture.shape))


def qcv(pair: SourcePair, fused: Picture) -> float:
    """Qcv; NaN where a picture is constant."""
    if _any_constant(pair, fused):
        return float("nan")
    error = weight = 0.0
    for source in pair.pictures:
        difference = source.derive(_as_perceived) - fused.derive(_as_perceived)
        salience = source.derive(_salience)
        error += float(np.vdot(salience, _region_sums(difference**2) / REGION**2))
        weight += float(salience.sum())
    return error / weight
