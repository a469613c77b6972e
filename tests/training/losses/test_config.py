"""What a recipe's [loss] may say."""

from __future__ import annotations

import tomllib
from collections.abc import Callable

import pytest

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_training.losses import (
    L1Term,
    Losses,
    MsSsimTerm,
    PerceptualTerm,
    Ramp,
    ReconstructionTerm,
    SsimTerm,
)
from crossfuse_training.losses.config import LossConfig
from crossfuse_training.recipe_reader import as_table, read_table


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SsimTerm(weight=-1.0), "loss.ssim.weight: got -1.0; valid: 0 or more"),
        (lambda: SsimTerm(weight=1.0, window=10), "loss.ssim.window: got 10"),
        (lambda: MsSsimTerm(weight=1.0, sigma=0.0), "loss.ms_ssim.sigma: got 0.0"),
        (lambda: L1Term(weight=1.0, infrared_share=1.5), "loss.l1.infrared_share: got 1.5"),
        (lambda: L1Term(weight=1.0, target="vizible"), "loss.l1.target.*did you mean 'visible'"),
        (lambda: Ramp(start=-1.0, until=0.5), "start: got -1.0"),
        (lambda: Ramp(after=0.6, until=0.5), r"after and until: got \(0.6, 0.5\)"),
        (lambda: Ramp(until=2.0), "after and until"),
        (lambda: PerceptualTerm(weight=1.0, weights=""), "random weights compare nothing"),
        (
            lambda: PerceptualTerm(weight=1.0, weights="a", extractor="vgg19"),
            "did you mean 'vgg16'",
        ),
        (
            lambda: PerceptualTerm(
                weight=1.0, weights="a", layers=("relu1_2",), layer_weights=(1.0, 2.0)
            ),
            "one for each of the 1 layers",
        ),
        (LossConfig, "loss: got no term with a weight above 0 at 0% of the run"),
        (lambda: LossConfig(ssim=SsimTerm(weight=0.0)), "no term with a weight above 0"),
        (
            lambda: LossConfig(l1=L1Term(weight=1.0, ramp=Ramp(after=0.2, until=0.3))),
            "above 0 at 0% of the run",
        ),
        (
            lambda: LossConfig(
                l1=L1Term(weight=0.0, ramp=Ramp(start=1.0, after=0.5, until=0.5)),
                ssim=SsimTerm(weight=1.0, ramp=Ramp(after=0.6, until=0.7)),
            ),
            "above 0 at 50% of the run",
        ),
        (
            lambda: LossConfig(l1=L1Term(weight=1.0, target="directed")),
            "loss.l1.target: got 'directed' without",
        ),
    ],
)
def test_contradictions_are_named(make: Callable[[], object], message: str) -> None:
    with pytest.raises((InvalidInput, UnknownName), match=message):
        make()


EVERY_TERM = """
[intensity]
weight = 1
[gradient]
weight = 10.0
[ssim]
weight = 5000.0
ramp = { start = 0.05, until = 1.0 }
[ms_ssim]
weight = 1.0
window = 7
[perceptual]
weight = 0.1
weights = "vgg16.pth"
layers = ["relu1_2", "relu2_2"]
layer_weights = [0.1, 0.2]
[l1]
weight = 1.0
target = "teacher"
[total_variation]
weight = 0.01
[feature]
weight = 0.5
[directed]
intensity = 0.3
base = 1.0
gradient = 12.0
structure = 10.0
warmer_share = 0.8
colder_share = 0.15
hot_from = 30.0
hot_span = 60.0
gradient_floor = 8.0
[reconstruction]
weight = 0.1
kind = "legacy"
"""


def test_every_term_is_read_from_a_recipe() -> None:
    config = read_table(LossConfig, tomllib.loads(EVERY_TERM), "loss")
    assert set(config.terms()) == set(tomllib.loads(EVERY_TERM))
    assert config.directed is not None
    assert config.directed.weight == 1
    assert config.ssim is not None
    assert config.ssim.weight_at(0) == 0.05
    assert read_table(LossConfig, as_table(config), "loss") == config
    for old, new, message in (
        ("until = 1.0", "until = 2.0", r"loss\.ssim\.ramp\.after and until"),
        ("colder_share = 0.15", "colder_share = -1.0", r"loss\.directed\.colder_share: got -1\.0"),
        ("hot_span = 60.0\n", "", r"loss\.directed\.hot_span: got nothing"),
        ("window = 7", "widow = 7", "did you mean 'window'"),
    ):
        assert old in EVERY_TERM
        with pytest.raises((InvalidInput, UnknownName), match=message):
            read_table(LossConfig, tomllib.loads(EVERY_TERM.replace(old, new)), "loss")


def test_a_reconstruction_alone_is_no_loss_of_a_fused_picture() -> None:
    config = LossConfig(reconstruction=ReconstructionTerm(weight=1.0))
    with pytest.raises(InvalidInput, match="no term with a weight above 0"):
        Losses(config)


def test_who_needs_a_teacher() -> None:
    assert LossConfig(l1=L1Term(weight=1.0, target="teacher")).needs_teacher
    assert not LossConfig(l1=L1Term(weight=1.0)).needs_teacher
