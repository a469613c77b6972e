"""The wishes of the direct loss, each against what it must mean."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest
import torch
from pytorch_msssim import ssim
from torch import Tensor

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_training.losses import DirectedWishes, fusion_loss, mean_ssim, wished_brightness

CONFIG = DirectedWishes(
    intensity=1.0,
    base=1.0,
    gradient=1.0,
    structure=1.0,
    warmer_share=0.8,
    colder_share=0.1,
    hot_from=30.0,
    hot_span=60.0,
    gradient_floor=2.0,
)


def smooth(seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 1, 12, 14, generator=generator) * 255
    return torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bicubic").clamp(0, 255)


def waves(number: int) -> Tensor:
    """A picture [1,1,40,48] of which every number comes from a formula."""
    y = torch.arange(40, dtype=torch.float64)[:, None]
    x = torch.arange(48, dtype=torch.float64)[None]
    across = 80 * torch.sin(x * (0.11 + 0.05 * number) + number)
    down = 45 * torch.cos(y * (0.17 + 0.03 * number) - number * x / 50)
    return (127.5 + across + down).clamp(0, 255).float()[None, None]


def level(value: float) -> Tensor:
    return torch.full((1, 1, 32, 32), float(value))


def wished(ir: float, luma: float, background: float) -> float:
    return float(wished_brightness(level(ir), level(luma), level(background), CONFIG)[0, 0, 0, 0])


def test_flat_infrared_lays_no_veil_over_the_dark() -> None:
    assert wished(ir=90, luma=10, background=90) == 10


def test_hot_bodies_keep_their_level() -> None:
    assert wished(ir=220, luma=10, background=60) == pytest.approx(220)


def test_nothing_is_brighter_or_darker_than_both_pictures() -> None:
    assert wished(ir=200, luma=190, background=120) == pytest.approx(200)
    assert wished(ir=50, luma=52, background=200) == pytest.approx(50)


def test_warm_and_cold_can_be_measured_against_the_mean_of_the_picture() -> None:
    half = level(60)
    half[..., 16:] = 100
    against_mean = replace(CONFIG, reference="mean")
    changed = wished_brightness(half, level(80), level(255), against_mean)
    assert float(changed[0, 0, 0, 0]) == pytest.approx(80 - 0.1 * 20)
    assert float(changed[0, 0, 0, -1]) == pytest.approx(80 + 0.8 * 20)
    # The mean of each picture is its own, whatever it is stacked with.
    stacked = torch.cat([half, half + 50])
    both = wished_brightness(stacked, level(80).expand(2, 1, 32, 32), stacked, against_mean)
    assert torch.equal(both[:1], changed)
    with pytest.raises(UnknownName, match=r"loss\.directed\.reference.*'mena'"):
        replace(CONFIG, reference="mena")


def test_ssim_agrees_with_the_reference_implementation() -> None:
    fused, ir, luma = smooth(0), smooth(1), smooth(2)
    expected = (ssim(fused, ir, data_range=255) + ssim(fused, luma, data_range=255)) / 2
    assert float(mean_ssim(fused, ir, luma)) == pytest.approx(float(expected), abs=0.005)
    assert float(mean_ssim(ir, ir, ir)) == pytest.approx(1, abs=1e-4)


def test_the_stronger_gradient_is_wished_for() -> None:
    edge = level(100)
    edge[..., 16:] = 160
    for ir, luma in ((edge, level(100)), (level(100), edge)):
        _, kept = fusion_loss(edge, ir, luma, level(100), CONFIG)
        _, lost = fusion_loss(level(100), ir, luma, level(100), CONFIG)
        assert float(kept["gradient"]) == pytest.approx(0, abs=1e-5)
        assert float(lost["gradient"]) > 0.9


def test_faint_infrared_noise_is_no_detail() -> None:
    noise = level(100) + torch.rand(1, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    _, parts = fusion_loss(level(100), noise, level(100), level(100), CONFIG)
    assert float(parts["gradient"]) == 0


def test_weights_weigh() -> None:
    pictures = (smooth(0), smooth(1), smooth(2), smooth(3))
    total, parts = fusion_loss(*pictures, CONFIG)
    assert float(total) == pytest.approx(sum(float(part) for part in parts.values()), rel=1e-5)
    heavier, _ = fusion_loss(*pictures, replace(CONFIG, gradient=3.0))
    assert float(heavier - total) == pytest.approx(2 * float(parts["gradient"]), rel=1e-3)


def test_it_is_still_the_loss_that_the_shipped_rt_was_trained_with() -> None:
    """Numbers that the function gave when `rt` was trained, with the numbers of its recipe."""
    shipped = replace(
        CONFIG, intensity=0.3, gradient=12.0, structure=10.0, colder_share=0.15, gradient_floor=8.0
    )
    fused, ir, luma = (torch.cat([waves(number), waves(number + 4)]) for number in range(3))
    background = torch.nn.functional.avg_pool2d(ir, 9, 1, 4)
    fused.requires_grad_()
    total, parts = fusion_loss(fused, ir, luma, background, shipped)
    torch.autograd.backward(total)
    assert total.item() == pytest.approx(273.6996, rel=1e-6)
    assert {name: part.item() for name, part in parts.items()} == pytest.approx(
        {
            "intensity": 76.185287,
            "base": 66.031807,
            "gradient": 13.835532,
            "structure": 1.8785822,
        },
        rel=1e-6,
    )
    assert fused.grad is not None
    assert fused.grad.abs().sum().item() == pytest.approx(3.376472, rel=1e-5)
    assert fused.grad.norm().item() == pytest.approx(0.07160864, rel=1e-5)


@pytest.mark.parametrize(("name", "value"), [("base", -1.0), ("hot_span", 0.0)])
def test_numbers_without_meaning(name: str, value: float) -> None:
    with pytest.raises(InvalidInput, match=rf"loss\.directed\.{name}"):
        DirectedWishes(**(asdict(CONFIG) | {name: value}))
