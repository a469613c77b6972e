"""Moments of whole pictures: SD, CC, SCD and PSNR; NaN where they are undefined."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossfuse.metrics.picture import Picture, SourcePair

PEAK = 255.0


def standard_deviation(_: SourcePair, fused: Picture) -> float:
    """SD."""
    return float(fused.values.std())


def _centred(picture: Picture) -> NDArray[np.float64]:
    return picture.values - float(picture.values.mean())


def _pearson(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Correlation of two arrays of mean zero; NaN where either is zero everywhere."""
    energy = float(np.vdot(first, first)) * float(np.vdot(second, second))
    return float(np.vdot(first, second)) / energy**0.5 if energy > 0 else float("nan")


def _same_up_to_offset(first: Picture, second: Picture) -> bool:
    difference = first.grey.astype(np.int16) - second.grey
    return bool(difference.min() == difference.max())


def correlation_coefficient(pair: SourcePair, fused: Picture) -> float:
    """CC."""
    if fused.is_constant or any(source.is_constant for source in pair.pictures):
        return float("nan")
    own = fused.derive(_centred)
    return sum(_pearson(source.derive(_centred), own) for source in pair.pictures) / 2


def sum_of_correlations_of_differences(pair: SourcePair, fused: Picture) -> float:
    """SCD."""
    total = 0.0
    for source, other in (pair.pictures, pair.pictures[::-1]):
        if source.is_constant or _same_up_to_offset(fused, other):
            return float("nan")
        difference = fused.derive(_centred) - other.derive(_centred)
        total += _pearson(source.derive(_centred), difference)
    return total


def _psnr(pair: SourcePair, fused: Picture, peak: float) -> float:
    errors = [np.square(fused.values - source.values).mean() for source in pair.pictures]
    error = float(sum(errors)) / len(errors)
    return float(10 * np.log10(peak**2 / error)) if error > 0 and peak > 0 else float("nan")


def psnr(pair: SourcePair, fused: Picture) -> float:
    """PSNR with peak 255."""
    return _psnr(pair, fused, PEAK)


def psnr_of_fused_peak(pair: SourcePair, fused: Picture) -> float:
    """PSNR with the brightest pixel of the fused picture as peak."""
    return _psnr(pair, fused, float(fused.grey.max()))
