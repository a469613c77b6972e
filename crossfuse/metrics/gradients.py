"""Sharpness of the fused picture alone: spatial frequency (SF) and average gradient (AG)."""

from __future__ import annotations

import numpy as np

from crossfuse.metrics.picture import Picture, SourcePair


def spatial_frequency(_: SourcePair, fused: Picture) -> float:
    """SF; NaN where a side is one pixel long."""
    if min(fused.shape) < 2:
        return float("nan")
    along_rows = np.square(np.diff(fused.values, axis=1)).mean()
    along_columns = np.square(np.diff(fused.values, axis=0)).mean()
    return float(np.sqrt(along_rows + along_columns))


def average_gradient(_: SourcePair, fused: Picture) -> float:
    """AG; NaN where a side is one pixel long."""
    if min(fused.shape) < 2:
        return float("nan")
    # Central differences, one-sided at the borders.
    down, right = np.gradient(fused.values)
    return float(np.sqrt((down**2 + right**2) / 2).mean())
