"""The published losses of stage 2 against hand-made pictures and a straight-line computation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from crossfuse_training.losses.published import (
    gradient_loss,
    intensity_loss,
    positive_laplacian,
)


def flat(value: float, side: int = 24) -> Tensor:
    return torch.full((1, 1, side, side), float(value))


def noise(seed: int) -> Tensor:
    return 255 * torch.rand(2, 1, 26, 30, generator=torch.Generator().manual_seed(seed))


def test_constants_have_a_closed_form() -> None:
    assert intensity_loss(flat(50), flat(80), flat(30)).item() == 30**2
    assert intensity_loss(flat(50), flat(30), flat(80)).item() == 30**2
    assert gradient_loss(flat(80), flat(80), flat(80)).item() == 0


def test_a_tie_takes_the_visible_picture() -> None:
    """At a point that is as bright around it in both: the mask is `above 0`, not `0 or more`."""
    ir, vis = flat(100), flat(100)
    ir[0, 0, 12, 12], ir[0, 0, 12, 13] = 120, 80
    assert intensity_loss(vis, ir, vis).item() == pytest.approx(0)


def test_the_brighter_source_is_chosen_for_each_place() -> None:
    """Infrared 40 and 200 beside visible 100: from 5 bright columns of 11 on its mean is above."""
    ir, vis = flat(40, 48), flat(100, 48)
    ir[..., 24:] = 200
    chosen = torch.cat([vis[..., :23], ir[..., 23:]], dim=3)
    assert intensity_loss(chosen, ir, vis).item() == 0
    assert intensity_loss(chosen + 2, ir, vis).item() == 4


def test_intensity_equals_a_straight_line_computation() -> None:
    fused, ir, vis = noise(0), noise(1), noise(2)
    total = 0.0
    for index in range(2):
        i, v, f = (picture[index, 0].double().numpy() for picture in (ir, vis, fused))
        box = np.ones((11, 11)) / 121
        i_mean, v_mean = (ndimage.correlate(p, box, mode="constant") for p in (i, v))
        mask = i_mean / (i_mean + v_mean + 1e-6) - v_mean / (i_mean + v_mean + 1e-6) > 0
        total += float(np.mean((f - np.where(mask, i, v)) ** 2)) / 2
    assert intensity_loss(fused, ir, vis).item() == pytest.approx(total, rel=1e-5)


def test_the_laplacian_keeps_dark_points_and_drops_bright_ones() -> None:
    dark, bright = flat(100), flat(100)
    dark[0, 0, 12, 12], bright[0, 0, 12, 12] = 90, 110
    assert positive_laplacian(dark)[0, 0, 12, 12].item() == 4 * 10
    assert positive_laplacian(bright)[0, 0, 12, 12].item() == 0
    assert positive_laplacian(bright)[0, 0, 12, 11].item() == 10


def test_the_border_is_dark() -> None:
    edge = positive_laplacian(flat(100))
    assert edge.max().item() == 0, "zeros beyond the border only lower the sum"


def test_gradient_equals_a_straight_line_computation() -> None:
    fused, ir, vis = noise(3), noise(4), noise(5)
    kernel = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]], float)

    def g(picture: Tensor, index: int) -> NDArray[np.float64]:
        z = picture[index, 0].double().numpy()
        laplacian: NDArray[np.float64] = ndimage.correlate(z, kernel, mode="constant")
        return laplacian.clip(min=0)

    total = sum(
        float(np.mean((g(fused, i) - np.maximum(g(ir, i), g(vis, i))) ** 2)) / 2 for i in range(2)
    )
    assert gradient_loss(fused, ir, vis).item() == pytest.approx(total, rel=1e-5)
