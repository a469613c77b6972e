"""The total of a recipe's [loss], for one batch."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossfuse.errors import InvalidInput
from crossfuse_training.losses.config import LossConfig, require_a_term_at_all_times
from crossfuse_training.losses.directed import DirectedTerm, fusion_loss
from crossfuse_training.losses.extractors import frozen
from crossfuse_training.losses.inputs import LossInputs, LossValue, check_pictures
from crossfuse_training.losses.pictures import (
    Comparison,
    compare,
    perceptual_comparison,
    total_variation,
)
from crossfuse_training.losses.published import gradient_loss, intensity_loss
from crossfuse_training.losses.structure import mean_similarity, multi_scale_similarity
from crossfuse_training.losses.terms import (
    FeatureTerm,
    GradientTerm,
    IntensityTerm,
    MsSsimTerm,
    PerceptualTerm,
    PictureTerm,
    SsimTerm,
    Term,
)


class Losses:
    """Computes every term but the reconstruction, which has no fused picture.

    `extractor` serves the perceptual term and is frozen; move it to the pictures' device first.
    """

    def __init__(self, config: LossConfig, *, extractor: nn.Module | None = None) -> None:
        terms = {name: term for name, term in config.terms().items() if name != "reconstruction"}
        require_a_term_at_all_times(terms)
        self.config = config
        self._terms = terms
        self._comparisons = {
            name: _comparison(term, extractor)
            for name, term in terms.items()
            if isinstance(term, PictureTerm)
        }
        self._checked = False

    def __call__(self, inputs: LossInputs, progress: float) -> LossValue:
        """The loss when that share of the run (0 to 1) is done."""
        if not self._checked:
            _check(inputs)
            self._checked = True
        weights = {name: term.weight_at(progress) for name, term in self._terms.items()}
        with torch.autocast(inputs.fused.device.type, enabled=False):
            single = _single(inputs)
            parts = {name: self._part(name, single) for name in weights if weights[name] > 0}
            total = torch.stack([weights[name] * part for name, part in parts.items()]).sum()
        return LossValue(total, parts, weights)

    def _part(self, name: str, inputs: LossInputs) -> Tensor:
        """A term before its weight."""
        term = self._terms[name]
        if isinstance(term, PictureTerm):
            return compare(term, inputs, self.config.directed, self._comparisons[name])
        return _part(term, inputs)


def _part(term: Term, inputs: LossInputs) -> Tensor:
    """A term without a choice of target."""
    if isinstance(term, IntensityTerm):
        return intensity_loss(inputs.fused, inputs.ir, inputs.vis)
    if isinstance(term, GradientTerm):
        return gradient_loss(inputs.fused, inputs.ir, inputs.vis)
    if isinstance(term, DirectedTerm):
        return fusion_loss(inputs.fused, inputs.ir, inputs.vis, inputs.background, term)[0]
    if isinstance(term, FeatureTerm):
        return _feature_distance(inputs.features)
    return total_variation(inputs.fused)


def _comparison(term: PictureTerm, extractor: nn.Module | None) -> Comparison:
    """How the term compares the fused picture with a target."""
    if isinstance(term, PerceptualTerm):
        if extractor is None:
            raise InvalidInput(
                term.key, "no extractor", "open_extractor(config.perceptual), or a module of yours"
            )
        return perceptual_comparison(term, frozen(extractor))
    if isinstance(term, SsimTerm):
        similarity = multi_scale_similarity if isinstance(term, MsSsimTerm) else mean_similarity
        measured = partial(similarity, window=term.window, sigma=term.sigma)
        return lambda fused, target: 1 - measured(fused, target)
    return F.l1_loss


def _feature_distance(pairs: tuple[tuple[Tensor, Tensor], ...]) -> Tensor:
    """Mean over the taps of the mean squared distance."""
    if not pairs:
        raise InvalidInput("loss.feature", "a batch without features", "pairs of FeatureAdapters")
    return torch.stack([F.mse_loss(mine, theirs) for mine, theirs in pairs]).mean()


def _check(inputs: LossInputs) -> None:
    pictures = {"ir": inputs.ir, "vis": inputs.vis, "background": inputs.background}
    if inputs.teacher is not None:
        pictures["teacher"] = inputs.teacher
    check_pictures(pictures)
    if inputs.fused.shape != inputs.ir.shape:
        raise InvalidInput(
            "loss: fused",
            f"a tensor of shape {tuple(inputs.fused.shape)}",
            f"the shape of ir, {tuple(inputs.ir.shape)}",
        )


def _single(inputs: LossInputs) -> LossInputs:
    """The same in float32, which half precision would ruin."""
    return LossInputs(
        fused=inputs.fused.float(),
        ir=inputs.ir.float(),
        vis=inputs.vis.float(),
        background=inputs.background.float(),
        teacher=None if inputs.teacher is None else inputs.teacher.float(),
        features=tuple((mine.float(), theirs.float()) for mine, theirs in inputs.features),
    )
