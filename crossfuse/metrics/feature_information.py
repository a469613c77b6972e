"""Feature mutual information (FMI) of Haghighat and Razian, on pixels, DCT or wavelet coefficients.

Every 3x3 window of a feature plane is stretched to 0..1 and read, column by column, as a
distribution over its nine places. The joint distribution of two windows is estimated from their
correlation between independence and the strongest dependence their marginals allow (Nelsen), and
the mutual information is divided by the mean of the two entropies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from crossfuse.metrics.picture import Picture, SourcePair
from crossfuse.metrics.transforms import dct, wavelet

Planes = NDArray[np.float32]

SIDE = 3
PLACES = SIDE * SIDE
INNER = PLACES - 1
# Windows per step: what a step works on stays in the processor's cache.
STEP = 8192
TINY = np.float32(1e-30)
# Below this covariance two distributions lie on one place each, as far as float32 can tell.
RESOLUTION = np.float32(1e-5)
# A window that is not level has a share of zero somewhere, so its squared deviations exceed this.
LEVEL = np.float32(1e-3)
# Its rows sum the shares of the first 0, 1, ..., 9 places; and the first two moments of the place.
SUMS_BEFORE = np.tri(PLACES + 1, PLACES, -1, dtype=np.float32)
MOMENTS = np.stack([np.arange(PLACES), np.arange(PLACES) ** 2]).astype(np.float32)
# Places that end after each inner boundary of one distribution, twice: for either order.
LATER = np.tile(np.arange(INNER, 0, -1, dtype=np.uint8), 2)[:, None]


class Windows(NamedTuple):
    """N windows as distributions over nine places."""

    share: Planes
    """9xN."""
    deviation: Planes
    """N: sum of squared deviations of the shares from 1/9."""
    spread: Planes
    """N: standard deviation of the place."""
    entropy: Planes
    """N, in bits."""


def _windows(rows: Planes) -> Planes:
    """All 3x3 windows in some rows of a plane as 9xN, places in column order."""
    height, width = rows.shape[0] - SIDE + 1, rows.shape[1] - SIDE + 1
    places = [
        rows[down : down + height, right : right + width]
        for right in range(SIDE)
        for down in range(SIDE)
    ]
    return np.stack(places).reshape(PLACES, height * width)


def _information(share: Planes) -> Planes:
    """The part -p log2 |p| of an entropy, summed over rows."""
    size = np.abs(share)
    size += TINY
    np.log2(size, out=size)
    return np.asarray(-np.einsum("in,in->n", share, size))


def _distributions(windows: Planes) -> Windows:
    share = windows - windows.min(axis=0)
    share += ~share.any(axis=0)
    share /= share.sum(axis=0)
    deviation = np.einsum("in,in->n", share, share) - np.float32(1 / PLACES)
    mean, square = MOMENTS @ share
    spread = np.sqrt(np.maximum(square - mean**2, 0))
    return Windows(share, deviation, spread, _information(share))


def _joint_entropy(first: Windows, second: Windows, correlation: Planes) -> Planes:
    """Entropy of the estimated joint distribution, for correlations that are not negative.

    Frechet's upper bound puts probability only where the intervals of two cumulated distributions
    overlap: in the 17 segments between their 8 + 8 inner boundaries. Everywhere else the estimate
    is that of independence, whose entropy is known from the marginals.
    """
    count = len(correlation)
    ends_first, ends_second = SUMS_BEFORE @ first.share, SUMS_BEFORE @ second.share
    inner_first, inner_second = ends_first[1:-1], ends_second[1:-1]
    # The place of the other distribution in which each boundary lies, counted from 0.
    before = (inner_second[:, None] < inner_first[None]).view(np.uint8)
    place = np.concatenate(
        [before.sum(axis=0, dtype=np.uint8), INNER - before.sum(axis=1, dtype=np.uint8)]
    )
    index = place.astype(np.intp)
    index *= count
    index += np.arange(count)
    in_second, in_first = index[:INNER], index[INNER:]
    probability = np.empty((2 * INNER + 1, count), np.float32)
    for ends, other_ends, at, rows in (
        (ends_first, ends_second, in_second, probability[:INNER]),
        (ends_second, ends_first, in_first, probability[INNER:-1]),
    ):
        np.maximum(ends[:-2], other_ends.take(at, mode="clip"), out=rows)
        np.subtract(ends[1:-1], rows, out=rows)
    np.subtract(1, np.maximum(inner_first[-1], inner_second[-1]), out=probability[-1])
    independent = np.empty_like(probability)
    np.multiply(
        first.share[:-1], second.share.take(in_second, mode="clip"), out=independent[:INNER]
    )
    np.multiply(
        second.share[:-1], first.share.take(in_first, mode="clip"), out=independent[INNER:-1]
    )
    np.multiply(first.share[-1], second.share[-1], out=independent[-1])
    # Integrated over a segment: places that end after it in one order times those in the other.
    later = LATER * (INNER - place)
    covariance = np.einsum("in,in->n", probability[:-1], later.astype(np.float32))
    covariance -= inner_first.sum(axis=0) * inner_second.sum(axis=0)
    scale = correlation * first.spread * second.spread
    dependence = np.where(covariance > RESOLUTION, scale / np.maximum(covariance, RESOLUTION), 0)
    independence = 1 - dependence
    independent *= independence
    entropy = independence * (first.entropy + second.entropy) + _information(independence[None])
    entropy -= _information(independent)
    probability *= dependence
    probability += independent
    return np.asarray(entropy + _information(probability))


def _normalised_information(first: Windows, second: Windows, equal: NDArray[np.bool_]) -> Planes:
    scale = np.sqrt(np.maximum(first.deviation, LEVEL) * np.maximum(second.deviation, LEVEL))
    covariance = np.einsum("in,in->n", first.share, second.share) - np.float32(1 / PLACES)
    defined = (first.deviation > LEVEL) & (second.deviation > LEVEL)
    correlation = covariance / scale * defined
    # Frechet's lower bound is the upper bound with the places of one window in opposite order.
    ordered = (second.share[::-1] - second.share) * (correlation < 0)
    ordered += second.share
    joint = _joint_entropy(first, second._replace(share=ordered), np.abs(correlation))
    entropies = first.entropy + second.entropy
    normalised = 2 * (entropies - joint) / np.maximum(entropies, TINY)
    return np.where(equal, 1, normalised)


def _mean_information(sources: list[Planes], fused: Planes) -> float:
    rows, columns = fused.shape[0] - SIDE + 1, fused.shape[1] - SIDE + 1
    if min(rows, columns) < 1:
        return float("nan")
    step = max(1, STEP // columns)
    total = 0.0
    for top in range(0, rows, step):
        part = slice(top, min(top + step, rows) + SIDE - 1)
        own = _windows(fused[part])
        own_distributions = _distributions(own)
        for source in sources:
            windows = _windows(source[part])
            equal = (windows == own).all(axis=0)
            information = _normalised_information(own_distributions, _distributions(windows), equal)
            total += float(information.sum(dtype=np.float64))
    return total / float(rows * columns * len(sources))


def _score(pair: SourcePair, fused: Picture, feature: Callable[[Picture], Planes]) -> float:
    return _mean_information(
        [source.derive(feature) for source in pair.pictures], fused.derive(feature)
    )


def _pixels(picture: Picture) -> Planes:
    return picture.grey.astype(np.float32)


def _dct(picture: Picture) -> Planes:
    return dct(picture).astype(np.float32)


def _wavelet(picture: Picture) -> Planes:
    return wavelet(picture).astype(np.float32)


def fmi_pixel(pair: SourcePair, fused: Picture) -> float:
    """FMI of the grey levels; NaN where a side is below 3 pixels."""
    return _score(pair, fused, _pixels)


def fmi_dct(pair: SourcePair, fused: Picture) -> float:
    """FMI of the DCT coefficients; NaN where a side is below 3 pixels."""
    return _score(pair, fused, _dct)


def fmi_wavelet(pair: SourcePair, fused: Picture) -> float:
    """FMI of the wavelet coefficients."""
    return _score(pair, fused, _wavelet)
