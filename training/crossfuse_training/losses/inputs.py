"""What losses take and give, and the one-time check that pictures are in 0..255."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from crossfuse.errors import InvalidInput

_SLACK = 1e-2


@dataclass(frozen=True)
class LossInputs:
    """One batch; every picture is float [B,1,H,W] in 0..255."""

    fused: Tensor
    ir: Tensor
    """The infrared as it should appear: aligned with the visible picture."""
    vis: Tensor
    background: Tensor
    """The infrared averaged over a wide neighbourhood."""
    teacher: Tensor | None = None
    features: tuple[tuple[Tensor, Tensor], ...] = ()
    """Adapted student features and the teacher's, each [B,C,h,w]; see FeatureAdapters."""


@dataclass(frozen=True)
class LossValue:
    """The loss of one batch."""

    total: Tensor
    """The weighted sum, a float32 scalar."""
    parts: Mapping[str, Tensor]
    """Each term before its weight; terms of weight 0 are not computed and not here."""
    weights: Mapping[str, float]
    """The weight of every term at this moment of the run."""


def check_pictures(pictures: Mapping[str, Tensor]) -> None:
    """Refuse pictures of different shapes or outside 0..255, and such as seem to be in 0..1.

    Whole numbers up to 1 pass: a picture taken in the dark can hold nothing else.
    """
    first, *_ = pictures
    for name, picture in pictures.items():
        shape, expected = tuple(picture.shape), tuple(pictures[first].shape)
        if picture.ndim != 4 or shape[1] != 1 or shape != expected:
            valid = f"a tensor [batch,1,height,width] of the shape of {first}, {expected}"
            raise InvalidInput(f"loss: {name}", f"a tensor of shape {shape}", valid)
        low, high = float(picture.min()), float(picture.max())
        if not (low >= -_SLACK and high <= 255 + _SLACK):
            raise InvalidInput(f"loss: {name}", f"values from {low:g} to {high:g}", "0 to 255")
        if 0 < high <= 1 and bool((picture != picture.round()).any()):
            raise InvalidInput(
                f"loss: {name}", f"values up to {high:g}", "0 to 255: multiply it by 255"
            )
