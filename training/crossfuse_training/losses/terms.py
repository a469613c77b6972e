"""The tables of a recipe's [loss]: one dataclass for each term, and what all of them have.

Every term is a mean over pictures in 0..255, taken in grey levels (or squares of them), before its
weight; so weights look large where a term has no unit (SSIM) and small where it squares levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from crossfuse_training.rules import require, require_name

TARGETS = ("sources", "infrared", "visible", "maximum", "teacher", "directed")
EXTRACTORS = ("vgg16", "encoders")
RECONSTRUCTIONS = ("default", "legacy")


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """A weight that moves in a straight line over a part of the run."""

    start: float = 0.0
    """Weight up to `after`; a term of weight 0 is not computed."""
    after: float = 0.0
    """Share of the run (0 to 1) where the weight begins to move."""
    until: float
    """Share of the run from which it is the term's own weight."""

    def __post_init__(self) -> None:
        require(self.start >= 0, "start", self.start, "0 or more")
        require(
            0 <= self.after <= self.until <= 1,
            "after and until",
            (self.after, self.until),
            "0 <= after <= until <= 1",
        )


@dataclass(frozen=True, kw_only=True)
class Term:
    """What every term has."""

    key: ClassVar[str] = "loss"

    weight: float
    """Factor in the total; 0 leaves the term out."""
    ramp: Ramp | None = None

    def __post_init__(self) -> None:
        require(self.weight >= 0, f"{self.key}.weight", self.weight, "0 or more")

    def weight_at(self, progress: float) -> float:
        """The weight when that share of the run (0 to 1) is done."""
        if self.ramp is None or progress >= self.ramp.until:
            return self.weight
        if progress <= self.ramp.after:
            return self.ramp.start
        share = (progress - self.ramp.after) / (self.ramp.until - self.ramp.after)
        return self.ramp.start + share * (self.weight - self.ramp.start)


@dataclass(frozen=True, kw_only=True)
class PictureTerm(Term):
    """A term that compares the fused picture with another one, or with both sources."""

    target: str = "sources"
    """sources, infrared, visible, maximum (of both, pixel by pixel), teacher, or directed (the
    brightness wished for by [loss.directed])."""
    infrared_share: float = 0.5
    """With target sources: share of the infrared comparison in the mean of the two."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_name(f"{self.key}.target", self.target, TARGETS)
        share = self.infrared_share
        require(0 <= share <= 1, f"{self.key}.infrared_share", share, "0 to 1")


@dataclass(frozen=True, kw_only=True)
class IntensityTerm(Term):
    """Published: squared distance to whichever source is brighter on average around the pixel."""

    key: ClassVar[str] = "loss.intensity"


@dataclass(frozen=True, kw_only=True)
class GradientTerm(Term):
    """Published: squared distance of positive Laplacians to the larger one of the sources."""

    key: ClassVar[str] = "loss.gradient"


@dataclass(frozen=True, kw_only=True)
class L1Term(PictureTerm):
    """Absolute distance."""

    key: ClassVar[str] = "loss.l1"


@dataclass(frozen=True, kw_only=True)
class SsimTerm(PictureTerm):
    """1 - SSIM, between 0 and 2."""

    key: ClassVar[str] = "loss.ssim"

    window: int = 11
    """Side of the Gaussian window in pixels, odd."""
    sigma: float = 1.5

    def __post_init__(self) -> None:
        super().__post_init__()
        valid = "an odd number from 3"
        require(self.window >= 3 and self.window % 2 == 1, f"{self.key}.window", self.window, valid)
        require(self.sigma > 0, f"{self.key}.sigma", self.sigma, "above 0")


@dataclass(frozen=True, kw_only=True)
class MsSsimTerm(SsimTerm):
    """1 - MS-SSIM of five levels, between 0 and 1.

    Where a level correlates negatively the value is 1 and has no gradient: give it company.
    """

    key: ClassVar[str] = "loss.ms_ssim"


@dataclass(frozen=True, kw_only=True)
class PerceptualTerm(PictureTerm):
    """Mean squared distance of the features of a frozen network."""

    key: ClassVar[str] = "loss.perceptual"

    extractor: str = "vgg16"
    """vgg16, or encoders: those of an autoencoder or crossfuse checkpoint of ours."""
    weights: str
    """vgg16: a file with its state dict (.pth or .safetensors). encoders: a checkpoint folder."""
    layers: tuple[str, ...] = ()
    """Names of the features that are compared; without any, the extractor's usual ones."""
    layer_weights: tuple[float, ...] = ()
    """A factor for each layer; without any, all count the same and the factors add up to 1."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_name(f"{self.key}.extractor", self.extractor, EXTRACTORS)
        require(
            self.weights != "",
            f"{self.key}.weights",
            self.weights,
            "a file (vgg16) or a checkpoint folder (encoders); random weights compare nothing",
        )
        require(
            not self.layer_weights or len(self.layer_weights) == len(self.layers),
            f"{self.key}.layer_weights",
            self.layer_weights,
            f"one for each of the {len(self.layers)} layers, or none",
        )
        positive = all(weight > 0 for weight in self.layer_weights)
        require(positive, f"{self.key}.layer_weights", self.layer_weights, "all above 0")


@dataclass(frozen=True, kw_only=True)
class TotalVariationTerm(Term):
    """Mean absolute difference of neighbouring pixels, across plus down."""

    key: ClassVar[str] = "loss.total_variation"


@dataclass(frozen=True, kw_only=True)
class FeatureTerm(Term):
    """Mean squared distance of adapted student features to those of a teacher."""

    key: ClassVar[str] = "loss.feature"


@dataclass(frozen=True, kw_only=True)
class ReconstructionTerm(Term):
    """Pixels and structure of what an auto-encoder makes of its own input.

    legacy is the published stage 1: its MS-SSIM raises the last level to four times its exponent.
    """

    key: ClassVar[str] = "loss.reconstruction"

    kind: str = "default"
    """default (MS-SSIM of pytorch-msssim) or legacy."""
    pixel: float = 1.0
    """Factor of the mean squared distance in grey levels."""
    structure: float = 10000.0
    """Factor of 1 - MS-SSIM."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require_name(f"{self.key}.kind", self.kind, RECONSTRUCTIONS)
        for name in ("pixel", "structure"):
            value = getattr(self, name)
            require(value >= 0, f"{self.key}.{name}", value, "0 or more")
        both = (self.pixel, self.structure)
        names = f"{self.key}.pixel and {self.key}.structure"
        require(any(both), names, both, "one of them above 0")
        if self.kind == "legacy":
            valid = "1 and 10000 with kind = legacy, as published"
            require(both == (1.0, 10000.0), names, both, valid)
