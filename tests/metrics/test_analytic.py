"""Values that follow from the definitions by hand: identities, symmetries, known histograms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from crossfuse.metrics import PROFILES, Picture, describe, evaluate_pair
from crossfuse.metrics.information import mutual_information_bits

Grey = NDArray[np.uint8]
Triple = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]


def score(name: str, ir: Grey, vis: Grey, fused: Grey, profile: str = "corrected") -> float:
    return evaluate_pair(ir, vis, fused, profile, [name])[name]


def stripes(*levels: int, repeat: int = 8) -> Grey:
    return np.tile(np.array(levels, np.uint8), (16, repeat))


@pytest.mark.parametrize(
    ("levels", "bits"), [((7,), 0), ((0, 255), 1), ((1, 2, 3, 4), 2), ((9, 9, 9, 200), 0.811278)]
)
def test_entropy_of_known_histograms(levels: tuple[int, ...], bits: float) -> None:
    picture = stripes(*levels)
    assert score("EN", picture, picture, picture) == pytest.approx(bits, abs=1e-6)


def test_every_level_once_has_eight_bits() -> None:
    picture = np.arange(256, dtype=np.uint8).reshape(16, 16)
    assert score("EN", picture, picture, picture) == pytest.approx(8)


@given(arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 30))))
def test_a_picture_tells_its_entropy_about_itself(pixels: Grey) -> None:
    picture = Picture(pixels)
    entropy = score("EN", pixels, pixels, pixels)
    assert mutual_information_bits(picture, picture) == pytest.approx(entropy, abs=1e-9)


@given(st.data())
def test_mutual_information_is_symmetric(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 20), st.integers(1, 20)))
    first, second = (Picture(data.draw(arrays(np.uint8, shape))) for _ in range(2))
    there, back = mutual_information_bits(first, second), mutual_information_bits(second, first)
    assert there == pytest.approx(back, abs=1e-9)
    assert there >= 0


def test_independent_pictures_share_nothing() -> None:
    rows = np.repeat(np.arange(16, dtype=np.uint8)[:, None], 16, axis=1)
    assert mutual_information_bits(Picture(rows), Picture(rows.T)) == pytest.approx(0, abs=1e-9)


def test_fused_equal_to_both_sources_is_perfect(scene: Triple) -> None:
    ir = scene[0]
    scores = evaluate_pair(ir, ir, ir, "corrected")
    assert scores["SSIM"] == pytest.approx(1)
    assert scores["MS_SSIM"] == pytest.approx(1)
    assert scores["VIF"] == pytest.approx(1, abs=1e-6)
    assert scores["CC"] == pytest.approx(1)
    assert scores["MI"] == pytest.approx(2 * scores["EN"])
    assert scores["FMI_pixel"] == scores["FMI_dct"] == scores["FMI_wavelet"] == 1
    assert scores["Nabf"] == 0
    assert scores["Qcb"] == pytest.approx(1)
    assert scores["Qcv"] == 0
    # The sigmoids do not reach 1 for perfect edges.
    best = 0.9994 / (1 + np.exp(-7.5)) * 0.9879 / (1 + np.exp(-4.4))
    assert scores["Qabf"] == pytest.approx(best)
    assert np.isnan(scores["PSNR"])
    assert np.isnan(scores["SCD"])


def test_sums_of_the_published_profile_reach_two(scene: Triple) -> None:
    scores = evaluate_pair(scene[0], scene[0], scene[0], names=["SSIM", "VIF"])
    assert scores == pytest.approx({"SSIM": 2, "VIF": 2}, abs=1e-6)


@pytest.mark.parametrize("profile", PROFILES)
def test_no_metric_prefers_one_source_by_its_place(profile: str, scene: Triple) -> None:
    ir, vis, fused = scene
    swapped = evaluate_pair(vis, ir, fused, profile)
    assert evaluate_pair(ir, vis, fused, profile) == pytest.approx(swapped, rel=1e-9)


@pytest.mark.parametrize("profile", PROFILES)
def test_what_has_no_direction_ignores_mirroring(profile: str, scene: Triple) -> None:
    ir, vis, fused = (picture[::-1] for picture in scene)
    # FMI reads windows in an order; Qabf as published treats one angle apart; the regions of Qcv
    # and the scales of VIF begin at one corner.
    names = ["EN", "SD", "SF", "AG", "MI", "SCD", "SSIM", "CC", "PSNR", "MS_SSIM", "Nabf", "Qcb"]
    expected = evaluate_pair(*scene, profile, names)
    assert evaluate_pair(ir, vis, fused, profile, names) == pytest.approx(expected, rel=1e-6)


def test_sharpness_of_a_ramp() -> None:
    ramp = np.tile(np.arange(0, 90, 3, dtype=np.uint8), (20, 1))
    assert score("SF", ramp, ramp, ramp) == pytest.approx(3)
    assert score("AG", ramp, ramp, ramp) == pytest.approx(3 / np.sqrt(2))
    assert score("SD", ramp, ramp, ramp) == pytest.approx(3 * np.sqrt((30**2 - 1) / 12))


def test_the_mean_of_the_sources_has_the_correlations_of_its_parts(scene: Triple) -> None:
    ir, vis, _ = scene
    even_ir, even_vis = ir // 2 * 2, vis // 2 * 2
    fused = ((even_ir.astype(int) + even_vis) // 2).astype(np.uint8)
    # F - VIS = (IR - VIS) / 2, so both terms are correlations with the difference of the sources.
    difference = (even_ir.astype(float) - even_vis).ravel()
    terms = [
        np.corrcoef(s.ravel(), d)[0, 1] for s, d in ((even_ir, difference), (even_vis, -difference))
    ]
    assert score("SCD", even_ir, even_vis, fused) == pytest.approx(sum(terms))


def test_psnr_of_a_known_error() -> None:
    ir, fused = stripes(100, 200), stripes(110, 210)
    # Error 100 to either source; the peaks are 255 and the brightest fused pixel.
    assert score("PSNR", ir, ir, fused) == pytest.approx(10 * np.log10(255**2 / 100))
    assert score("PSNR", ir, ir, fused, "cddfuse") == pytest.approx(10 * np.log10(210**2 / 100))


def test_edges_at_a_right_angle_are_lost() -> None:
    source = np.zeros((32, 32), np.uint8)
    source[:, 16:] = 200
    same, turned = (score("Qabf", source, source, fused) for fused in (source, source.T.copy()))
    assert same > 0.97
    assert turned < 0.05


def test_noise_that_no_source_has_is_an_artifact(scene: Triple) -> None:
    ir, vis, _ = scene
    clean = np.maximum(ir, vis)
    noise = np.random.default_rng(0).normal(0, 25, clean.shape)
    noisy = np.clip(clean + noise, 0, 255).astype(np.uint8)
    assert score("Nabf", ir, vis, noisy) > 3 * score("Nabf", ir, vis, clean)
    assert score("Qabf", ir, vis, noisy) < score("Qabf", ir, vis, clean)
    assert score("Qcv", ir, vis, noisy) > score("Qcv", ir, vis, clean)


@settings(max_examples=60)
@given(st.data())
def test_every_value_is_in_its_range_or_undefined(data: st.DataObject) -> None:
    shape = data.draw(st.tuples(st.integers(1, 60), st.integers(1, 60)))
    levels = data.draw(st.sampled_from([1, 3, 255]))
    pictures = [
        np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, levels + 1, shape)
        for _ in range(3)
    ]
    ir, vis, fused = (picture.astype(np.uint8) * (255 // levels) for picture in pictures)
    for profile in PROFILES:
        scores = evaluate_pair(ir, vis, fused, profile)
        for description in describe(profile):
            low, high = description.value_range
            value = scores[description.name]
            assert np.isnan(value) or low is None or value >= low - 1e-6, description.name
            assert np.isnan(value) or high is None or value <= high + 1e-6, description.name
