"""Terms that compare the fused picture with other pictures, or with nothing at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossfuse.errors import InvalidInput
from crossfuse_training.losses.directed import DirectedWishes, wished_brightness
from crossfuse_training.losses.inputs import LossInputs
from crossfuse_training.losses.terms import PerceptualTerm, PictureTerm

Comparison = Callable[[Tensor, Tensor], Tensor]
"""Fused picture and reference to a scalar."""


def compare(
    term: PictureTerm, inputs: LossInputs, wishes: DirectedWishes | None, comparison: Comparison
) -> Tensor:
    """The comparison with the term's target, or the weighted mean over both sources."""
    if term.target == "sources":
        shares = (term.infrared_share, 1 - term.infrared_share)
        distances = [
            share * comparison(inputs.fused, source)
            for share, source in zip(shares, (inputs.ir, inputs.vis), strict=True)
            if share > 0
        ]
        return torch.stack(distances).sum()
    return comparison(inputs.fused, _target(term, inputs, wishes))


def _target(term: PictureTerm, inputs: LossInputs, wishes: DirectedWishes | None) -> Tensor:
    if term.target == "teacher":
        if inputs.teacher is None:
            raise InvalidInput(
                f"{term.key}.target",
                "'teacher' in a batch without the teacher's pictures",
                "another target, or a recipe with a teacher",
            )
        return inputs.teacher
    if term.target == "directed" and wishes is not None:
        return wished_brightness(inputs.ir, inputs.vis, inputs.background, wishes)
    targets = {
        "infrared": inputs.ir,
        "visible": inputs.vis,
        "maximum": torch.maximum(inputs.ir, inputs.vis),
    }
    return targets[term.target]


def total_variation(picture: Tensor) -> Tensor:
    """Mean absolute difference of neighbours, across plus down, in grey levels."""
    across, down = picture.diff(dim=3), picture.diff(dim=2)
    return across.abs().mean() + down.abs().mean()


def perceptual_comparison(term: PerceptualTerm, extractor: nn.Module) -> Comparison:
    """Weighted sum over layers of the mean squared distance of features."""

    def distance(fused: Tensor, reference: Tensor) -> Tensor:
        mine = _features(extractor, fused)
        with torch.no_grad():
            theirs = _features(extractor, reference)
        factors = term.layer_weights or (1 / len(mine),) * len(mine)
        if len(factors) != len(mine):
            raise InvalidInput(
                f"{term.key}.layer_weights",
                f"{len(factors)} factors",
                f"{len(mine)}, one for each of the extractor's features",
            )
        parts = [
            factor * F.mse_loss(a, b) for factor, a, b in zip(factors, mine, theirs, strict=True)
        ]
        return torch.stack(parts).sum()

    return distance


def _features(extractor: nn.Module, picture: Tensor) -> Sequence[Tensor]:
    found = extractor(picture)
    if isinstance(found, Tensor):
        # A lone tensor would be taken apart along its batch.
        raise InvalidInput("perceptual extractor", "one tensor", "a tuple of features")
    features: Sequence[Tensor] = found
    return features
