"""What is compared, in what numbers, and which of them a bar judges."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from crossfuse_export.parity import BARS, Bar, Difference, compare, judge
from crossfuse_export.pictures import Picture, pictures_of, real_pictures
from crossfuse_export.reference import Reference
from crossfuse_training.networks.registry import build


def test_a_minmax_head_that_stretches_rounding_is_not_judged() -> None:
    torch.manual_seed(0)
    network = build(
        "crossfuse", shallow_channels=2, growth_channels=2, half_channels=4, deep_channels=4,
        decoder_channels=4, heads=2, dense_layers=1, self_layers=0,
    ).eval()  # fmt: skip
    scene = next(picture for picture in pictures_of(48, 56, ()) if picture.name == "scene 1")
    far = Difference(psnr=10.0, ssim=0.1, max_abs=200, mean_abs=50.0)
    _, spread = Reference(network).fuse(scene)
    assert judge("fp32", scene.kind, spread, far) == (BARS["fp32"].missed(far), None)
    assert not network.get_submodule("head")._forward_pre_hooks, "the network stays as it was"
    with torch.no_grad():
        network.get_parameter("decoder.last.weight").mul_(1e-5)
    _, spread = Reference(network).fuse(scene)
    assert spread is not None
    assert 0 < spread < 1e-3
    missed, why = judge("fp32", scene.kind, spread, far)
    assert missed == ()
    assert why is not None
    assert why.startswith("range before the minmax head")


def test_a_minmax_head_in_half_precision_is_not_judged_on_inputs_that_no_camera_gives() -> None:
    far = Difference(psnr=10.0, ssim=0.1, max_abs=200, mean_abs=50.0)
    missed, why = judge("fp16", "adversarial", 0.5, far)
    assert missed == ()
    assert why is not None
    assert "only finiteness counts" in why
    # A bounded head, single precision and pictures of cameras have no such excuse.
    for precision, kind, spread in (
        ("fp16", "adversarial", None),
        ("fp32", "adversarial", 0.5),
        ("fp16", "real", 0.5),
    ):
        assert judge(precision, kind, spread, far)[0]


def test_bars() -> None:
    bar = Bar(max_abs=1, mean_abs=0.01, psnr=40.0, ssim=0.9)
    assert bar.missed(Difference(None, 1.0, 0, 0.0)) == ()
    assert bar.missed(Difference(50.0, 0.95, 1, 0.01)) == ()
    assert [text.partition(" ")[0] for text in bar.missed(Difference(30.0, 0.5, 2, 0.5))] == [
        "max_abs", "mean_abs", "psnr", "ssim",
    ]  # fmt: skip
    assert len(bar.missed(Difference(math.nan, math.nan, 0, math.nan))) == 3


def test_compare_counts_in_grey_levels() -> None:
    white = np.full((32, 40, 3), 255, np.uint8)
    darker = white.copy()
    darker[0, 0] = 251
    difference = compare(darker, white)
    assert difference.max_abs == 4
    assert difference.mean_abs == pytest.approx(4 / (32 * 40))
    assert difference.psnr == pytest.approx(10 * math.log10(255**2 * 32 * 40 / 16))
    assert compare(white, white).psnr is None


def test_pictures_are_of_every_kind_and_of_the_size() -> None:
    sample = Picture("x", "real", np.zeros((9, 9), np.uint8), np.zeros((9, 9, 3), np.uint8))
    pictures = pictures_of(33, 47, [sample])
    names = [picture.name for picture in pictures]
    assert len(set(names)) == len(names)
    for name in ("black", "constant", "saturated", "one hot pixel", "noise"):
        assert name in names
    for picture in pictures:
        assert (picture.ir.shape, picture.vis.shape) == ((33, 47), (33, 47, 3))
        assert picture.ir.dtype == picture.vis.dtype == np.uint8


@pytest.mark.data
def test_every_data_set_gives_a_pair(data_dir: Path) -> None:
    names = [picture.name for picture in real_pictures(data_dir)]
    assert names[0] == "sample"
    assert {name.partition("/")[0] for name in names[1:]} >= {"msrs", "roadscene", "tno_golden"}
