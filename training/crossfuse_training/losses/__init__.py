"""Losses of every stage, on float pictures [B,1,H,W] in 0..255, always computed in float32.

config = LossConfig(ssim=SsimTerm(weight=50.0), l1=L1Term(weight=1.0, target="maximum"))
losses = Losses(config, extractor=open_extractor(config.perceptual))
value = losses(LossInputs(fused, ir, vis, background), progress=step / steps)
value.total.backward()
"""

from __future__ import annotations

from crossfuse_training.losses.adapters import FeatureAdapters
from crossfuse_training.losses.config import LossConfig
from crossfuse_training.losses.directed import (
    DirectedTerm,
    DirectedWishes,
    fusion_loss,
    mean_ssim,
    wished_brightness,
)
from crossfuse_training.losses.extractors import open_extractor
from crossfuse_training.losses.inert import InertReport
from crossfuse_training.losses.inputs import LossInputs, LossValue
from crossfuse_training.losses.reconstruction import ReconstructionLosses
from crossfuse_training.losses.terms import (
    FeatureTerm,
    GradientTerm,
    IntensityTerm,
    L1Term,
    MsSsimTerm,
    PerceptualTerm,
    Ramp,
    ReconstructionTerm,
    SsimTerm,
    Term,
    TotalVariationTerm,
)
from crossfuse_training.losses.total import Losses

__all__ = [
    "DirectedTerm",
    "DirectedWishes",
    "FeatureAdapters",
    "FeatureTerm",
    "GradientTerm",
    "InertReport",
    "IntensityTerm",
    "L1Term",
    "LossConfig",
    "LossInputs",
    "LossValue",
    "Losses",
    "MsSsimTerm",
    "PerceptualTerm",
    "Ramp",
    "ReconstructionLosses",
    "ReconstructionTerm",
    "SsimTerm",
    "Term",
    "TotalVariationTerm",
    "fusion_loss",
    "mean_ssim",
    "open_extractor",
    "wished_brightness",
]
