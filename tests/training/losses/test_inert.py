"""Which terms of a loss are found to change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from crossfuse_training.losses import (
    FeatureTerm,
    InertReport,
    L1Term,
    Losses,
    LossInputs,
    LossValue,
    SsimTerm,
    TotalVariationTerm,
)
from crossfuse_training.losses.config import LossConfig
from crossfuse_training.losses.inert import gradient_shares

CONFIG = LossConfig(l1=L1Term(weight=1.0), ssim=SsimTerm(weight=50.0))


def measure(config: LossConfig, step: int) -> tuple[LossValue, torch.Tensor]:
    """The loss of a picture that a network could have made."""
    generator = torch.Generator().manual_seed(step)
    fused, ir, vis = 255 * torch.rand(3, 2, 1, 32, 32, generator=generator)
    fused = fused.requires_grad_() * 0.9
    features = ((torch.ones(2, 1, 2, 2, requires_grad=True), torch.zeros(2, 1, 2, 2)),)
    inputs = LossInputs(fused, ir, vis, ir, features=features)
    return Losses(config)(inputs, progress=0.5), fused


def observe(config: LossConfig, report: InertReport, steps: int) -> list[dict[str, float]]:
    return [report.observe(step, *measure(config, step)) for step in range(1, steps + 1)]


def test_a_term_of_weight_1e_9_is_found_at_the_end_of_the_window() -> None:
    config = replace(CONFIG, total_variation=TotalVariationTerm(weight=1e-9))
    found = observe(config, InertReport(window=20, every=5), 40)
    assert [step for step, names in enumerate(found, start=1) if names] == [20, 40]
    assert set(found[19]) == {"total_variation"}
    assert found[19]["total_variation"] < 1e-8


def test_terms_that_weigh_are_not_named() -> None:
    assert not any(observe(CONFIG, InertReport(window=10, every=5), 20))


def test_shares_are_those_of_gradients_made_by_hand() -> None:
    value, fused = measure(replace(CONFIG, total_variation=TotalVariationTerm(weight=3.0)), 1)
    norms = {}
    for name, part in value.parts.items():
        (gradient,) = torch.autograd.grad(value.weights[name] * part, fused, retain_graph=True)
        norms[name] = gradient.norm().item()
    expected = {name: norm / sum(norms.values()) for name, norm in norms.items()}
    assert gradient_shares(value, fused) == pytest.approx(expected, rel=1e-5)
    torch.autograd.backward(value.total)


def test_features_are_not_judged_by_a_picture_they_do_not_act_on() -> None:
    value, fused = measure(replace(CONFIG, feature=FeatureTerm(weight=1e-9)), 1)
    assert set(gradient_shares(value, fused)) == {"l1", "ssim"}
