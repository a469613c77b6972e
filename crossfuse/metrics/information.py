"""What histograms tell: entropy (EN) and mutual information (MI)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossfuse.metrics.picture import Picture, SourcePair

LEVELS = 256


def entropy_of(counts: NDArray[np.int64]) -> float:
    """Shannon entropy of a histogram in bits."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum()) + 0.0


def _entropy(picture: Picture) -> float:
    return entropy_of(np.bincount(picture.grey.ravel(), minlength=LEVELS))


def entropy(_: SourcePair, fused: Picture) -> float:
    """EN."""
    return fused.derive(_entropy)


def mutual_information_bits(first: Picture, second: Picture) -> float:
    """Mutual information of two pictures in bits, one bin per pair of grey levels."""
    pairs = first.grey.astype(np.int32) * LEVELS + second.grey
    joint = entropy_of(np.bincount(pairs.ravel(), minlength=LEVELS * LEVELS))
    # Never negative; the difference of entropies can be, by rounding.
    return max(0.0, first.derive(_entropy) + second.derive(_entropy) - joint)


def mutual_information(pair: SourcePair, fused: Picture) -> float:
    """MI in bits, the sum over the two sources."""
    return sum(mutual_information_bits(fused, source) for source in pair.pictures)


def mutual_information_nats(pair: SourcePair, fused: Picture) -> float:
    """MI in nats, the sum over the two sources."""
    return mutual_information(pair, fused) * float(np.log(2))
