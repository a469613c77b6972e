"""What auto-encoders are asked for: the published form, and ours."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from crossfuse.errors import InvalidInput
from crossfuse_training.losses import Ramp, ReconstructionLosses, ReconstructionTerm
from crossfuse_training.losses.reconstruction import published_similarity
from crossfuse_training.losses.structure import LEVEL_WEIGHTS, multi_scale_similarity


def scene(seed: int, side: int = 192) -> Tensor:
    coarse = torch.rand(1, 1, side // 8, side // 8, generator=torch.Generator().manual_seed(seed))
    return 255 * torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear")


def reference(rebuilt: Tensor, picture: Tensor) -> float:
    """The published MS-SSIM level by level in float64, windows and ranges written out."""
    x, y = rebuilt.double(), picture.double()
    similarities, structures = [], []
    for _ in range(5):
        size = min(11, x.shape[2], x.shape[3])
        line = torch.tensor([math.exp(-((i - size // 2) ** 2) / 4.5) for i in range(size)])
        line = (line / line.sum()).double()
        window = torch.outer(line, line)[None, None]
        span = (255 if x.max() > 128 else 1) - (-1 if x.min() < -0.5 else 0)
        c1, c2 = (0.01 * span) ** 2, (0.03 * span) ** 2

        def blur(z: Tensor, window: Tensor = window) -> Tensor:
            return torch.nn.functional.conv2d(z, window)

        mx, my = blur(x), blur(y)
        vx, vy, both = blur(x * x) - mx**2, blur(y * y) - my**2, blur(x * y) - mx * my
        cs = (2 * both + c2) / (vx + vy + c2)
        structures.append((float(cs.mean()) + 1) / 2)
        whole = (2 * mx * my + c1) / (mx**2 + my**2 + c1) * cs
        similarities.append((float(whole.mean()) + 1) / 2)
        x, y = (torch.nn.functional.avg_pool2d(z, 2) for z in (x, y))
    value = 1.0
    for level in range(4):
        value *= structures[level] ** LEVEL_WEIGHTS[level] * similarities[4] ** LEVEL_WEIGHTS[4]
    return value


@pytest.mark.parametrize("side", [64, 192])
def test_published_similarity_equals_its_definition(side: int) -> None:
    picture = scene(0, side)
    for rebuilt in (picture * 0.8 + 20, scene(1, side), scene(2, side) - 40, picture * 0.4):
        value = published_similarity(rebuilt, picture).item()
        assert value == pytest.approx(reference(rebuilt, picture), rel=1e-4)


def test_published_similarity_is_not_the_usual_one() -> None:
    picture, rebuilt = scene(0), scene(0) * 0.6 + scene(1) * 0.4
    usual = multi_scale_similarity(rebuilt, picture).item()
    assert abs(published_similarity(rebuilt, picture).item() - usual) > 0.005


def test_legacy_total_is_mse_and_ten_thousand_times_the_rest() -> None:
    picture, rebuilt = scene(0, 64), scene(0, 64) * 0.9
    losses = ReconstructionLosses(ReconstructionTerm(weight=1.0, kind="legacy"))
    value = losses(rebuilt, picture, progress=0)
    expected = float(((rebuilt - picture) ** 2).mean()) + 1e4 * (1 - reference(rebuilt, picture))
    assert value.total.item() == pytest.approx(expected, rel=1e-3)
    assert value.weights == {"pixel": 1, "structure": 10000}


def test_default_uses_the_usual_ms_ssim_and_ramps() -> None:
    picture, rebuilt = scene(0), scene(0) * 0.9
    term = ReconstructionTerm(weight=0.5, structure=100.0, ramp=Ramp(until=0.5))
    losses = ReconstructionLosses(term)
    value = losses(rebuilt, picture, progress=0.25)
    assert value.weights == {"pixel": 0.25, "structure": 25}
    structure = 1 - multi_scale_similarity(rebuilt, picture).item()
    pixel = float(((rebuilt - picture) ** 2).mean())
    assert value.total.item() == pytest.approx(0.25 * pixel + 25 * structure, rel=1e-4)


def test_pixels_alone() -> None:
    term = ReconstructionTerm(weight=0.1, structure=0.0)
    value = ReconstructionLosses(term)(scene(0, 32) + 2, scene(0, 32), progress=1)
    assert value.total.item() == pytest.approx(0.4, rel=1e-3)
    assert set(value.parts) == {"pixel"}


def test_pictures_in_0_to_1_are_refused_and_reconstructions_are_not() -> None:
    losses = ReconstructionLosses(ReconstructionTerm(weight=1.0))
    with pytest.raises(InvalidInput, match="multiply it by 255"):
        losses(scene(0, 32), scene(0, 32) / 255, progress=0)
    assert losses(scene(0, 32) / 255 - 3, scene(0, 32), progress=0).total.isfinite()


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"kind": "legacy", "structure": 1.0}, "1 and 10000 with kind = legacy"),
        ({"pixel": 0.0, "structure": 0.0}, "one of them above 0"),
        ({"pixel": -1.0}, "loss.reconstruction.pixel: got -1.0"),
        ({"kind": "legasy"}, "did you mean 'legacy'"),
    ],
)
def test_numbers_without_meaning(numbers: dict[str, float | str], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        ReconstructionTerm(weight=1.0, **numbers)  # type: ignore[arg-type]
