"""The total of a recipe's terms: weights, ramps, targets, precision, and batches it refuses."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from crossfuse.errors import InvalidInput
from crossfuse_training.losses import (
    DirectedTerm,
    FeatureTerm,
    GradientTerm,
    IntensityTerm,
    L1Term,
    Losses,
    LossInputs,
    MsSsimTerm,
    Ramp,
    SsimTerm,
    TotalVariationTerm,
    fusion_loss,
    wished_brightness,
)
from crossfuse_training.losses.config import LossConfig
from crossfuse_training.losses.published import gradient_loss, intensity_loss
from crossfuse_training.losses.structure import mean_similarity

DIRECTED = DirectedTerm(
    intensity=0.3,
    base=1.0,
    gradient=12.0,
    structure=10.0,
    warmer_share=0.8,
    colder_share=0.15,
    hot_from=30.0,
    hot_span=60.0,
    gradient_floor=8.0,
)
PUBLISHED = LossConfig(intensity=IntensityTerm(weight=1.0), gradient=GradientTerm(weight=10.0))


def picture(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 1, 10, 12, generator=generator)
    return 255 * torch.nn.functional.interpolate(coarse, scale_factor=4, mode="bilinear")


@pytest.fixture
def inputs() -> LossInputs:
    fused, ir, vis, background, teacher = (picture(seed) for seed in range(5))
    generator = torch.Generator().manual_seed(9)
    mine, theirs = torch.rand(2, 2, 3, 5, 6, generator=generator)
    return LossInputs(fused.requires_grad_(), ir, vis, background, teacher, ((mine, theirs),))


def measured(config: LossConfig, inputs: LossInputs) -> float:
    return Losses(config)(inputs, progress=0.5).total.item()


def test_the_published_total_is_one_and_ten_times_its_parts(inputs: LossInputs) -> None:
    value = Losses(PUBLISHED)(inputs, progress=0.5)
    pictures = (inputs.fused, inputs.ir, inputs.vis)
    expected = intensity_loss(*pictures) + 10 * gradient_loss(*pictures)
    assert value.total.item() == pytest.approx(expected.item(), rel=1e-6)
    assert value.parts["gradient"].item() == pytest.approx(gradient_loss(*pictures).item())
    assert value.weights == {"intensity": 1, "gradient": 10}


def test_weight_0_is_exactly_the_loss_without_the_term(inputs: LossInputs) -> None:
    off = replace(PUBLISHED, ssim=SsimTerm(weight=0.0), l1=L1Term(weight=0.0, target="teacher"))
    value = Losses(off)(inputs, progress=0.5)
    assert torch.equal(value.total, Losses(PUBLISHED)(inputs, progress=0.5).total)
    assert set(value.parts) == {"intensity", "gradient"}
    assert value.weights["ssim"] == 0


def test_directed_is_the_wishes_together(inputs: LossInputs) -> None:
    expected, _ = fusion_loss(inputs.fused, inputs.ir, inputs.vis, inputs.background, DIRECTED)
    assert measured(LossConfig(directed=DIRECTED), inputs) == pytest.approx(expected.item())


def test_l1_for_every_target(inputs: LossInputs) -> None:
    wished = wished_brightness(inputs.ir, inputs.vis, inputs.background, DIRECTED)
    assert inputs.teacher is not None
    targets = {
        "infrared": inputs.ir,
        "visible": inputs.vis,
        "maximum": torch.maximum(inputs.ir, inputs.vis),
        "teacher": inputs.teacher,
        "directed": wished,
    }
    for name, target in targets.items():
        config = LossConfig(
            l1=L1Term(weight=2.0, target=name), directed=replace(DIRECTED, weight=0.0)
        )
        expected = 2 * (inputs.fused - target).abs().mean().item()
        assert measured(config, inputs) == pytest.approx(expected, rel=1e-5)


def test_sources_are_a_weighted_mean_of_both(inputs: LossInputs) -> None:
    to_ir, to_vis = (
        1 - mean_similarity(inputs.fused, source).item() for source in (inputs.ir, inputs.vis)
    )
    equal = LossConfig(ssim=SsimTerm(weight=5000.0))
    assert measured(equal, inputs) == pytest.approx(2500 * (to_ir + to_vis), rel=1e-4)
    warmer = LossConfig(ssim=SsimTerm(weight=1.0, infrared_share=0.6))
    assert measured(warmer, inputs) == pytest.approx(0.6 * to_ir + 0.4 * to_vis, rel=1e-4)
    alone = LossConfig(ssim=SsimTerm(weight=1.0, infrared_share=1.0))
    assert measured(alone, inputs) == pytest.approx(to_ir, rel=1e-4)


def test_total_variation_of_a_ramp_and_features_by_hand(inputs: LossInputs) -> None:
    ramp = (torch.arange(40.0)[:, None] * 2 + torch.arange(48.0) * 0.5).expand(2, 1, 40, 48)
    variation = LossConfig(total_variation=TotalVariationTerm(weight=1.0))
    assert measured(variation, replace(inputs, fused=ramp)) == pytest.approx(2.5)
    ((mine, theirs),) = inputs.features
    both = replace(inputs, features=((mine, theirs), (theirs, theirs)))
    expected = ((mine - theirs) ** 2).mean().item() / 2
    config = LossConfig(feature=FeatureTerm(weight=1.0))
    assert measured(config, both) == pytest.approx(expected, rel=1e-5)


def test_a_ramp_moves_the_weight(inputs: LossInputs) -> None:
    term = SsimTerm(weight=10.0, ramp=Ramp(start=2.0, after=0.25, until=0.75))
    expected = {0.0: 2, 0.25: 2, 0.5: 6, 0.625: 8, 0.75: 10, 1.0: 10}
    assert {share: term.weight_at(share) for share in expected} == pytest.approx(expected)
    losses = Losses(replace(PUBLISHED, ssim=term))
    assert losses(inputs, progress=0.5).weights["ssim"] == 6
    step = SsimTerm(weight=1.0, ramp=Ramp(after=0.5, until=0.5))
    assert [step.weight_at(share) for share in (0, 0.4999, 0.5, 1)] == [0, 0, 1, 1]


def test_a_staged_schedule_from_l1_to_ssim_leaves_out_what_has_not_begun(
    inputs: LossInputs,
) -> None:
    config = LossConfig(
        l1=L1Term(weight=1.0, target="teacher"),
        ssim=SsimTerm(weight=50.0, target="teacher", ramp=Ramp(after=0.1, until=0.2)),
    )
    losses = Losses(config)
    assert set(losses(inputs, progress=0.1).parts) == {"l1"}
    assert set(losses(inputs, progress=0.15).parts) == {"l1", "ssim"}


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_around_it_changes_nothing(inputs: LossInputs, dtype: torch.dtype) -> None:
    """Squares of grey levels pass the range of fp16; MSE and SSIM would be infinite or NaN."""
    config = LossConfig(
        intensity=IntensityTerm(weight=1.0),
        gradient=GradientTerm(weight=10.0),
        ssim=SsimTerm(weight=1.0),
        ms_ssim=MsSsimTerm(weight=1.0),
        l1=L1Term(weight=1.0),
        total_variation=TotalVariationTerm(weight=1.0),
        directed=DIRECTED,
    )
    half = replace(inputs, fused=inputs.fused.detach().to(dtype).requires_grad_())
    whole = replace(inputs, fused=half.fused.detach().float())
    with torch.autocast("cpu", dtype=dtype):
        value = Losses(config)(half, progress=1)
    assert value.total.dtype == torch.float32
    assert all(part.dtype == torch.float32 for part in value.parts.values())
    assert value.total.item() == Losses(config)(whole, progress=1).total.item()
    torch.autograd.backward(value.total)
    assert half.fused.grad is not None
    assert bool(half.fused.grad.isfinite().all())


def test_gradients_reach_the_fused_picture(inputs: LossInputs) -> None:
    for config in (PUBLISHED, LossConfig(ms_ssim=MsSsimTerm(weight=1.0))):
        (gradient,) = torch.autograd.grad(Losses(config)(inputs, progress=1).total, inputs.fused)
        assert bool(gradient.isfinite().all())
        assert gradient.abs().max() > 0


@pytest.mark.parametrize("name", ["ir", "vis", "background", "teacher"])
def test_pictures_in_0_to_1_are_refused_by_name(inputs: LossInputs, name: str) -> None:
    wrong = replace(inputs, **{name: getattr(inputs, name) / 255})
    with pytest.raises(InvalidInput, match=f"loss: {name}: got values up to .* multiply it by 255"):
        Losses(PUBLISHED)(wrong, progress=0)


def test_what_else_is_refused(inputs: LossInputs) -> None:
    for wrong, message in (
        (replace(inputs, vis=inputs.vis + 300), "loss: vis: got values from"),
        (replace(inputs, vis=inputs.vis[..., 1:]), r"of the shape of ir, \(2, 1, 40, 48\)"),
        (replace(inputs, ir=inputs.ir.expand(2, 3, 40, 48)), r"\[batch,1,height,width\]"),
        (replace(inputs, fused=inputs.fused[..., 1:]), "loss: fused"),
    ):
        with pytest.raises(InvalidInput, match=message):
            Losses(PUBLISHED)(wrong, progress=0)
    distilled = LossConfig(l1=L1Term(weight=1.0, target="teacher"))
    with pytest.raises(InvalidInput, match="without the teacher's pictures"):
        Losses(distilled)(replace(inputs, teacher=None), progress=0)
    with pytest.raises(InvalidInput, match="without features"):
        Losses(LossConfig(feature=FeatureTerm(weight=1.0)))(
            replace(inputs, features=()), progress=0
        )


def test_a_picture_taken_in_the_dark_is_no_mistake(inputs: LossInputs) -> None:
    dark = (inputs.vis > 128).float()
    assert Losses(PUBLISHED)(replace(inputs, vis=dark), progress=0).total.isfinite()
