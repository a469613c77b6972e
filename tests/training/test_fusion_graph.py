"""What surrounds the network: colour kept, grey kept, 8 bits in and out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from crossfuse_training.fusion_graph import BLUE, GREEN, RED, FusionGraph, recolour

levels = st.integers(0, 255)


class Fixed(nn.Module):
    """A network that answers a fixed luma."""

    def __init__(self, luma: float) -> None:
        super().__init__()
        self.luma = luma

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        return torch.full_like(vis, self.luma)


class Passed(nn.Module):
    """A network that answers the visible luma."""

    def forward(self, ir: Tensor, vis: Tensor) -> Tensor:
        return vis


def plane(value: float) -> Tensor:
    return torch.full((1, 1, 1, 1), float(value))


def luma_of(red: float, green: float, blue: float) -> float:
    return red * RED + green * GREEN + blue * BLUE


@given(levels, levels, levels, st.floats(0, 255, width=32))
@settings(max_examples=100)
def test_luma_and_hue_are_kept(red: int, green: int, blue: int, fused: float) -> None:
    luma = luma_of(red, green, blue)
    colours = (plane(red), plane(green), plane(blue))
    result = [float(channel) for channel in recolour(plane(fused), plane(luma), colours)]
    assert all(-1e-3 <= channel <= 255 + 1e-3 for channel in result)
    assert luma_of(*result) == pytest.approx(fused, abs=0.15)
    # Hue: the differences between channels keep their proportions, none turned round or grown.
    before = np.array([red - green, green - blue, blue - red], float)
    after = np.array([result[0] - result[1], result[1] - result[2], result[2] - result[0]])
    scale = float(after @ before / (before @ before)) if before.any() else 0.0
    assert -1e-4 <= scale <= 1 + 1e-4
    assert after == pytest.approx(scale * before, abs=1e-3)


@given(levels, levels, levels, st.floats(0, 255, width=32))
@settings(max_examples=100)
def test_the_scale_is_the_largest_that_fits(red: int, green: int, blue: int, fused: float) -> None:
    luma = luma_of(red, green, blue)
    colours = (plane(red), plane(green), plane(blue))
    result = [float(channel) for channel in recolour(plane(fused), plane(luma), colours)]
    grey = red == green == blue
    untouched = (
        max(
            abs((a - b) - (c - d))
            for a, b, c, d in zip(
                result,
                np.roll(result, 1),
                (red, green, blue),
                np.roll((red, green, blue), 1),
                strict=True,
            )
        )
        < 1e-2
    )
    at_the_edge = min(result) < 1e-2 or max(result) > 255 - 1e-2
    assert grey or untouched or at_the_edge


def test_grey_in_gives_equal_channels() -> None:
    ramp = torch.arange(256, dtype=torch.uint8).repeat(32, 1)[None]
    vis = ramp[..., None].expand(-1, -1, -1, 3)
    for luma in (0.0, 0.3, 97.4, 255.0):
        fused = FusionGraph(Fixed(luma))(ramp, vis)
        assert bool((fused == fused[..., :1]).all())
        assert int(fused[0, 0, 0, 0]) == round(luma)


def test_an_unchanged_luma_gives_the_visible_picture_back() -> None:
    vis = torch.randint(
        0, 256, (2, 40, 50, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    fused = FusionGraph(Passed())(vis[..., 0], vis)
    assert fused.dtype == torch.uint8
    assert int((fused.int() - vis.int()).abs().max()) <= 1


@pytest.mark.parametrize(("luma", "expected"), [(0.5, 0), (1.5, 2), (2.5, 2), (254.5, 254)])
def test_halves_go_to_the_even_level(luma: float, expected: int) -> None:
    black = torch.zeros(1, 32, 32, dtype=torch.uint8)
    fused = FusionGraph(Fixed(luma))(black, black[..., None].expand(-1, -1, -1, 3))
    assert np.unique(fused.numpy()).tolist() == [expected]
