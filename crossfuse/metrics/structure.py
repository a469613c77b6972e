"""Structural similarity of the fused picture to each source: SSIM and MS-SSIM."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.metrics.filters import filter_valid, gaussian_taps, uniform_taps
from crossfuse.metrics.picture import Picture, SourcePair

Image = NDArray[np.float64]

UNIFORM = uniform_taps(7)
GAUSSIAN = gaussian_taps(11, 1.5)
LUMINANCE_FLOOR = (0.01 * 255) ** 2
CONTRAST_FLOOR = (0.03 * 255) ** 2
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)


class Moments(NamedTuple):
    """A picture at one scale, with the mean and the variance of every window in it."""

    image: Image
    mean: Image
    variance: Image


def _moments(image: Image, taps: Image) -> Moments:
    mean = filter_valid(image, taps)
    return Moments(image, mean, filter_valid(image**2, taps) - mean**2)


def _uniform_moments(picture: Picture) -> Moments:
    return _moments(picture.values, UNIFORM)


def _gaussian_moments(picture: Picture) -> list[Moments]:
    """Five scales, each half the size of the one before; fewer where the window no longer fits."""
    image = picture.values
    scales = []
    for _ in SCALE_WEIGHTS:
        if min(image.shape) < len(GAUSSIAN):
            break
        scales.append(_moments(image, GAUSSIAN))
        height, width = image.shape
        image = np.asarray(
            cv2.resize(
                image[: height // 2 * 2, : width // 2 * 2],
                (width // 2, height // 2),
                interpolation=cv2.INTER_AREA,
            )
        )
    return scales


def _similarity(first: Moments, second: Moments, taps: Image, samples: int) -> tuple[float, float]:
    """Mean SSIM and mean of its contrast-structure term; `samples` > 0 makes variances unbiased."""
    unbiased = samples / (samples - 1) if samples else 1.0
    product = first.mean * second.mean
    covariance = filter_valid(first.image * second.image, taps) - product
    structure = (2 * unbiased * covariance + CONTRAST_FLOOR) / (
        unbiased * (first.variance + second.variance) + CONTRAST_FLOOR
    )
    luminance = (2 * product + LUMINANCE_FLOOR) / (first.mean**2 + second.mean**2 + LUMINANCE_FLOOR)
    return float((luminance * structure).mean()), float(structure.mean())


def ssim_uniform_sum(pair: SourcePair, fused: Picture) -> float:
    """SSIM with a 7x7 uniform window and sample variances, sum of the two; NaN below 7 pixels."""
    if min(fused.shape) < len(UNIFORM):
        return float("nan")
    own = fused.derive(_uniform_moments)
    samples = len(UNIFORM) ** 2
    return sum(
        _similarity(own, source.derive(_uniform_moments), UNIFORM, samples)[0]
        for source in pair.pictures
    )


def ssim_gaussian_mean(pair: SourcePair, fused: Picture) -> float:
    """SSIM with an 11x11 Gaussian window, mean of the two; NaN below 11 pixels."""
    scales = [picture.derive(_gaussian_moments)[:1] for picture in (fused, *pair.pictures)]
    if not scales[0]:
        return float("nan")
    (own,), *sources = scales
    return sum(_similarity(own, source, GAUSSIAN, 0)[0] for (source,) in sources) / 2


def _ms_ssim(first: list[Moments], second: list[Moments]) -> float:
    product = 1.0
    for scale, weight in enumerate(SCALE_WEIGHTS):
        whole, structure = _similarity(first[scale], second[scale], GAUSSIAN, 0)
        term = whole if scale == len(SCALE_WEIGHTS) - 1 else structure
        product *= max(term, 0.0) ** weight
    return product


def ms_ssim(pair: SourcePair, fused: Picture) -> float:
    """MS-SSIM over five scales, mean of the two; NaN where a side is below 176 pixels."""
    own = fused.derive(_gaussian_moments)
    if len(own) < len(SCALE_WEIGHTS):
        return float("nan")
    return sum(_ms_ssim(own, source.derive(_gaussian_moments)) for source in pair.pictures) / 2
