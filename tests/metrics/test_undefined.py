"""Undefined values are NaN, whatever the profile: never an error, a warning, or a silent zero."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.metrics import PROFILES, evaluate_pair

Triple = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]

# What a constant picture leaves undefined, by the place of that picture.
UNDEFINED = {
    "ir": {"SCD", "VIF", "CC", "Qcb", "Qcv"},
    "fused": {"CC", "Qcb", "Qcv"},
    "both sources": {"SCD", "VIF", "CC", "Qabf", "Qcb", "Qcv"},
    "all": {"SCD", "VIF", "CC", "Qabf", "Qcb", "Qcv"},
}


def undefined(scores: dict[str, float]) -> set[str]:
    return {name for name, value in scores.items() if np.isnan(value)}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("level", [0, 1, 77, 255])
@pytest.mark.parametrize("constant", UNDEFINED)
def test_constant_pictures(constant: str, level: int, profile: str, scene: Triple) -> None:
    flat = np.full_like(scene[0], level)
    ir, vis, fused = {
        "ir": (flat, scene[1], scene[2]),
        "fused": (scene[0], scene[1], flat),
        "both sources": (flat, flat, scene[2]),
        "all": (flat, flat, flat),
    }[constant]
    names = [m.name for m in PROFILES[profile] if not m.name.startswith("FMI")]
    expected = set(UNDEFINED[constant])
    black = profile == "cddfuse" and level == 0 and constant == "fused"
    if constant == "all" or black:
        expected.add("PSNR")
    assert undefined(evaluate_pair(ir, vis, fused, profile, names)) == expected


def test_constant_pictures_still_have_what_is_defined() -> None:
    flat = np.full((20, 20), 9, np.uint8)
    scores = evaluate_pair(
        flat, flat, flat, names=["EN", "SD", "SF", "AG", "MI", "SSIM", "FMI_pixel"]
    )
    assert scores == {"EN": 0, "SD": 0, "SF": 0, "AG": 0, "MI": 0, "SSIM": 2, "FMI_pixel": 1}


def test_a_fused_picture_that_is_one_source_leaves_scd_undefined(scene: Triple) -> None:
    ir, vis, _ = scene
    scores = evaluate_pair(ir, vis, vis, names=["SCD", "PSNR"])
    assert np.isnan(scores["SCD"])
    assert scores["PSNR"] > 0


@pytest.mark.parametrize(
    ("side", "names"),
    [
        (1, {"SF", "AG", "Qabf", "FMI_pixel"}),
        (2, {"Qabf", "FMI_pixel"}),
        (6, {"SSIM", "SSIM_corrected", "VIF"}),
        (10, {"SSIM_corrected"}),
        (40, {"VIF"}),
        (175, {"MS_SSIM"}),
    ],
)
def test_pictures_smaller_than_a_window(side: int, names: set[str]) -> None:
    ir, vis, fused = np.random.default_rng(3).integers(0, 256, (3, side, 200)).astype(np.uint8)
    assert undefined(evaluate_pair(ir, vis, fused, names=names)) == names


@pytest.mark.parametrize(
    ("side", "name"), [(7, "SSIM"), (11, "SSIM_corrected"), (41, "VIF"), (176, "MS_SSIM")]
)
def test_pictures_just_large_enough(side: int, name: str) -> None:
    ir, vis, fused = np.random.default_rng(3).integers(0, 256, (3, 200, side)).astype(np.uint8)
    assert np.isfinite(evaluate_pair(ir, vis, fused, names=[name])[name])
