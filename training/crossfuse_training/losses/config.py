"""The [loss] table of a recipe: which terms there are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from crossfuse.errors import InvalidInput
from crossfuse_training.losses.directed import DirectedTerm
from crossfuse_training.losses.terms import (
    FeatureTerm,
    GradientTerm,
    IntensityTerm,
    L1Term,
    MsSsimTerm,
    PerceptualTerm,
    PictureTerm,
    ReconstructionTerm,
    SsimTerm,
    Term,
    TotalVariationTerm,
)


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """A table for each term that a run has; at least one."""

    intensity: IntensityTerm | None = None
    gradient: GradientTerm | None = None
    ssim: SsimTerm | None = None
    ms_ssim: MsSsimTerm | None = None
    perceptual: PerceptualTerm | None = None
    l1: L1Term | None = None
    total_variation: TotalVariationTerm | None = None
    feature: FeatureTerm | None = None
    directed: DirectedTerm | None = None
    reconstruction: ReconstructionTerm | None = None
    """Of the auto-encoders: all that stage autoencoder has, and an addition in end-to-end."""

    def __post_init__(self) -> None:
        terms = self.terms()
        require_a_term_at_all_times(terms)
        for name, term in terms.items():
            if (
                isinstance(term, PictureTerm)
                and term.target == "directed"
                and self.directed is None
            ):
                raise InvalidInput(
                    f"loss.{name}.target",
                    "'directed' without [loss.directed]",
                    "[loss.directed] in the recipe (weight 0 will do), or another target",
                )

    def terms(self) -> dict[str, Term]:
        """The terms that are there, by name, in the order of the fields."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: term for name, term in found.items() if term is not None}

    @property
    def needs_teacher(self) -> bool:
        """Whether a term compares with the teacher's picture."""
        return any(
            isinstance(term, PictureTerm) and term.target == "teacher"
            for term in self.terms().values()
        )


def require_a_term_at_all_times(terms: Mapping[str, Term]) -> None:
    """Refuse terms that are all of weight 0 at some moment of the run."""
    moments = {0.0, 1.0}
    for term in terms.values():
        if term.ramp is not None:
            # Weights are straight between these, and may jump at `until`.
            moments |= {term.ramp.after, term.ramp.until, max(0.0, term.ramp.until - 1e-6)}
    for progress in sorted(moments):
        if not any(term.weight_at(progress) > 0 for term in terms.values()):
            raise InvalidInput(
                "loss",
                f"no term with a weight above 0 at {progress:.0%} of the run",
                f"at least one of {', '.join(field.name for field in fields(LossConfig))}",
            )
