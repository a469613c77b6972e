"""Visual information fidelity in the pixel domain (VIF) of the fused picture to each source."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossfuse.metrics.filters import filter_valid, gaussian_taps
from crossfuse.metrics.picture import Picture, SourcePair

Image = NDArray[np.float64]

WINDOWS = tuple(gaussian_taps(size, size / 5) for size in (17, 9, 5, 3))
NOISE = 2.0
TINY = 1e-10


class Scale(NamedTuple):
    """A picture at one scale, with the mean and the variance of every window in it."""

    image: Image
    mean: Image
    variance: Image


def _scales(picture: Picture) -> list[Scale]:
    """Four scales; fewer where the picture is smaller than a window."""
    image = picture.values
    scales: list[Scale] = []
    for window in WINDOWS:
        if scales:
            if min(image.shape) < len(window):
                break
            image = filter_valid(image, window)[::2, ::2]
        if min(image.shape) < len(window):
            break
        mean = filter_valid(image, window)
        variance = np.maximum(filter_valid(image**2, window) - mean**2, 0)
        scales.append(Scale(image, mean, variance))
    return scales


def _information(source: Scale, fused: Scale, window: Image) -> tuple[float, float]:
    """Information that reaches the eye through the fused picture, and that of the source itself."""
    covariance = filter_valid(source.image * fused.image, window) - source.mean * fused.mean
    gain = covariance / (source.variance + TINY)
    noise = fused.variance - gain * covariance
    flat_source = source.variance < TINY
    flat_fused = fused.variance < TINY
    signal = np.where(flat_source, 0, source.variance)
    noise = np.where(flat_source, fused.variance, noise)
    noise = np.where(flat_fused, 0, noise)
    gain = np.where(flat_source | flat_fused, 0, gain)
    noise = np.maximum(np.where(gain < 0, fused.variance, noise), TINY)
    gain = np.maximum(gain, 0)
    through_fused = np.log10(1 + gain**2 * signal / (noise + NOISE)).sum()
    in_source = np.log10(1 + signal / NOISE).sum()
    return float(through_fused), float(in_source)


def _fidelity(source: Picture, fused: Picture) -> float:
    received = available = 0.0
    scales = zip(source.derive(_scales), fused.derive(_scales), WINDOWS, strict=True)
    for of_source, of_fused, window in scales:
        through_fused, in_source = _information(of_source, of_fused, window)
        received += through_fused
        available += in_source
    return received / available


def vif_sum(pair: SourcePair, fused: Picture) -> float:
    """VIF, sum over the sources; NaN for a constant source and for pictures below four scales."""
    if any(source.is_constant for source in pair.pictures):
        return float("nan")
    if len(fused.derive(_scales)) < len(WINDOWS):
        return float("nan")
    return sum(_fidelity(source, fused) for source in pair.pictures)


def vif_mean(pair: SourcePair, fused: Picture) -> float:
    """VIF, mean over the sources."""
    return vif_sum(pair, fused) / 2
