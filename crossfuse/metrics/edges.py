"""Edges carried from the sources into the fused picture: Qabf and Nabf."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.metrics.picture import Picture, SourcePair

Map = NDArray[np.float64]


class Edges(NamedTuple):
    """Edge strength and orientation (-pi/2..pi/2) per pixel."""

    strength: Map
    angle: Map


def _edges(picture: Picture, border: int) -> Edges:
    right = cv2.Sobel(picture.values, cv2.CV_64F, 1, 0, borderType=border)
    # OpenCV's row derivative grows downwards; the kernel pair of the evaluators is mirrored.
    up = -cv2.Sobel(picture.values, cv2.CV_64F, 0, 1, borderType=border)
    level = right == 0
    slope = np.divide(up, right, out=np.zeros_like(right), where=~level)
    return Edges(np.sqrt(right**2 + up**2), np.where(level, np.pi / 2, np.arctan(slope)))


def _zero_padded_edges(picture: Picture) -> Edges:
    return _edges(picture, cv2.BORDER_CONSTANT)


def _inner_edges(picture: Picture) -> Edges:
    edges = picture.derive(_zero_padded_edges)
    return Edges(edges.strength[1:-1, 1:-1], edges.angle[1:-1, 1:-1])


def _mirrored_edges(picture: Picture) -> Edges:
    edges = _edges(picture, cv2.BORDER_REFLECT_101)
    return Edges(edges.strength / 8, edges.angle)


def _strength_ratio(source: Edges, fused: Edges) -> Map:
    """The weaker strength over the stronger, 0..1; 0 where neither picture has an edge."""
    weaker = np.minimum(source.strength, fused.strength)
    stronger = np.maximum(source.strength, fused.strength)
    return np.divide(weaker, stronger, out=np.zeros_like(weaker), where=stronger > 0)


def _alignment(source: Edges, fused: Edges) -> Map:
    """1 for parallel edges, 0 for perpendicular ones; orientations are equal modulo pi."""
    return np.abs(np.abs(source.angle - fused.angle) - np.pi / 2) / (np.pi / 2)


def _sigmoid(value: Map, ceiling: float, slope: float, centre: float) -> Map:
    return np.asarray(ceiling / (1 + np.exp(-slope * (value - centre))))


def _preservation(ratio: Map, alignment: Map) -> Map:
    """Xydeas and Petrovic's edge preservation with the constants that published tables use."""
    return _sigmoid(ratio, 0.9994, 15, 0.5) * _sigmoid(alignment, 0.9879, 22, 0.8)


def _weighted_mean(sources: list[Edges], preserved: list[Map]) -> float:
    carried = sum(float(np.vdot(q, s.strength)) for q, s in zip(preserved, sources, strict=True))
    return carried / sum(float(s.strength.sum()) for s in sources)


def _undefined(pair: SourcePair) -> bool:
    """Sources without an edge leave nothing to preserve; neither do pictures without an inside."""
    return all(source.is_constant for source in pair.pictures) or min(pair.ir.shape) < 3


def qabf_as_published(pair: SourcePair, fused: Picture) -> float:
    """Qabf with zero-padded borders, orientations compared without wrapping, and equal strengths
    entering the sigmoid as the strength itself."""
    if _undefined(pair):
        return float("nan")
    own = fused.derive(_zero_padded_edges)
    sources = [source.derive(_zero_padded_edges) for source in pair.pictures]
    preserved = []
    for source in sources:
        equal = source.strength == own.strength
        ratio = np.where(equal, own.strength, _strength_ratio(source, own))
        alignment = 1 - np.abs(source.angle - own.angle) / (np.pi / 2)
        preserved.append(_preservation(ratio, alignment))
    return _weighted_mean(sources, preserved)


def qabf(pair: SourcePair, fused: Picture) -> float:
    """Qabf inside the border, with orientations compared modulo pi."""
    if _undefined(pair):
        return float("nan")
    own = fused.derive(_inner_edges)
    sources = [source.derive(_inner_edges) for source in pair.pictures]
    preserved = [_preservation(_strength_ratio(s, own), _alignment(s, own)) for s in sources]
    if not any(source.strength.any() for source in sources):
        return float("nan")
    return _weighted_mean(sources, preserved)


def nabf(pair: SourcePair, fused: Picture) -> float:
    """Nabf, Kumar's modified measure."""
    own = fused.derive(_mirrored_edges)
    sources = [source.derive(_mirrored_edges) for source in pair.pictures]
    added = (own.strength > sources[0].strength) & (own.strength > sources[1].strength)
    lost = weight = 0.0
    for source in sources:
        preserved = np.sqrt(
            _sigmoid(_strength_ratio(source, own), 0.9999, 19, 0.5)
            * _sigmoid(_alignment(source, own), 0.9995, 22, 0.5)
        )
        # Edges below two grey levels per pixel hardly count.
        importance = np.where(
            source.strength >= 2, source.strength * np.sqrt(source.strength), 0.001
        )
        lost += float(((1 - preserved) * importance)[added].sum())
        weight += float(importance.sum())
    return lost / weight
