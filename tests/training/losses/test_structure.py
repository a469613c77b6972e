"""SSIM and MS-SSIM against their definitions in float64, and too small pictures."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from crossfuse_training.losses.structure import (
    LEVEL_WEIGHTS,
    _fewer_levels,
    _note,
    levels_for,
    mean_similarity,
    multi_scale_similarity,
)

Image = NDArray[np.float64]


def scene(seed: int, height: int = 64, width: int = 72, sigma: float = 2.0) -> Tensor:
    values = np.random.default_rng(seed).normal(size=(height, width))
    smooth = ndimage.gaussian_filter(values, sigma)
    smooth = (smooth - smooth.min()) / np.ptp(smooth) * 255
    return torch.from_numpy(smooth).float()[None, None]


def reference(a: Image, b: Image, window: int = 11, sigma: float = 1.5) -> tuple[float, float]:
    """SSIM and its contrast-structure factor from the definition, on whole windows alone."""
    radius = window // 2

    def blur(image: Image) -> Image:
        blurred: Image = ndimage.gaussian_filter(image, sigma, radius=radius)
        return blurred[radius:-radius, radius:-radius]

    ma, mb = blur(a), blur(b)
    va, vb, covariance = blur(a * a) - ma**2, blur(b * b) - mb**2, blur(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    structure = (2 * covariance + c2) / (va + vb + c2)
    luminance = (2 * ma * mb + c1) / (ma**2 + mb**2 + c1)
    return float(np.mean(luminance * structure)), float(np.mean(structure))


def reference_ms_ssim(a: Image, b: Image, exponents: Sequence[float]) -> float:
    """Levels are halved by means over 2x2 pixels, so sides must be even at all of them."""
    value = 1.0
    for exponent in exponents[:-1]:
        value *= reference(a, b)[1] ** exponent
        a, b = (p.reshape(len(p) // 2, 2, -1, 2).mean(axis=(1, 3)) for p in (a, b))
    return float(value * reference(a, b)[0] ** exponents[-1])


def image(picture: Tensor) -> Image:
    return picture[0, 0].double().numpy()


@pytest.mark.parametrize("window", [7, 11, 15])
def test_ssim_equals_its_definition(window: int) -> None:
    a, b = scene(0), scene(0) * 0.7 + scene(1) * 0.3
    value = mean_similarity(a, b, window=window)
    assert value.item() == pytest.approx(reference(image(a), image(b), window)[0], abs=1e-4)
    assert mean_similarity(a, a).item() == pytest.approx(1)


def test_ms_ssim_equals_its_definition() -> None:
    a = scene(0, 192, 176, sigma=3)
    b = a * 0.7 + scene(1, 192, 176) * 0.3
    expected = reference_ms_ssim(image(a), image(b), LEVEL_WEIGHTS)
    assert multi_scale_similarity(a, b).item() == pytest.approx(expected, abs=1e-4)


def test_fewer_levels_continue_what_five_levels_are() -> None:
    a = scene(0, 192, 176, sigma=3)
    b = a * 0.7 + scene(1, 192, 176) * 0.3
    own = _fewer_levels(a, b, 5, 11, 1.5).item()
    assert own == pytest.approx(multi_scale_similarity(a, b).item(), abs=1e-5)


def test_four_levels_equal_their_definition() -> None:
    a, b = scene(2, 128, 112), scene(2, 128, 112) * 0.8 + scene(3, 128, 112) * 0.2
    exponents = tuple(weight / sum(LEVEL_WEIGHTS[:4]) for weight in LEVEL_WEIGHTS[:4])
    expected = reference_ms_ssim(image(a), image(b), exponents)
    assert multi_scale_similarity(a, b).item() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("side", "levels"),
    [(161, 5), (160, 4), (128, 4), (81, 4), (80, 3), (64, 3), (41, 3), (40, 2), (20, 1), (7, 1)],
)
def test_how_many_levels_fit(side: int, levels: int) -> None:
    assert levels_for(side, 11) == levels


@pytest.mark.parametrize("side", [8, 16, 32, 64, 128, 160])
def test_small_pictures_have_a_finite_gradient(side: int) -> None:
    a = (scene(4, 160, 160)[..., :side, :side] * 0.5).requires_grad_()
    b = scene(5, 160, 160)[..., :side, :side]
    torch.autograd.backward(2 - mean_similarity(a, b) - multi_scale_similarity(a, b))
    assert a.grad is not None
    assert bool(a.grad.isfinite().all())
    assert a.grad.abs().max() > 0


def test_equal_and_opposite_and_constant_pictures() -> None:
    a = scene(6, 176, 176)
    for other in (a, 255 - a, torch.zeros_like(a), torch.full_like(a, 255.0)):
        start = a.clone().requires_grad_()
        value = multi_scale_similarity(start, other)
        torch.autograd.backward(value)
        assert start.grad is not None
        assert bool(start.grad.isfinite().all())
        assert 0 <= value.item() <= 1 + 1e-6


def test_the_note_comes_once(caplog: pytest.LogCaptureFixture) -> None:
    _note.cache_clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            multi_scale_similarity(scene(7), scene(8))
    assert [record.message for record in caplog.records] == [
        "MS-SSIM: pictures of 64 pixels get 3 levels in place of 5"
    ]


def test_level_weights_are_the_published_ones() -> None:
    assert sum(LEVEL_WEIGHTS) == pytest.approx(1.0001, abs=2e-4)
