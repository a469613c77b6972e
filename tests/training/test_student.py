"""The contract of a fusion network, on the real-time student."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_training.networks.registry import build, variants


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)) * 255


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (50, 35), (96, 64)])
def test_any_size_from_32_pixels(tiny_student: nn.Module, size: tuple[int, int]) -> None:
    ir, vis = noise(2, 1, *size), noise(2, 1, *size, seed=1)
    with torch.no_grad():
        fused = tiny_student(ir, vis)
    assert fused.shape == ir.shape
    assert fused.dtype == torch.float32
    assert 0 <= float(fused.min()) <= float(fused.max()) <= 255


def test_a_batch_gives_what_its_pictures_give_alone(tiny_student: nn.Module) -> None:
    ir, vis = noise(4, 1, 41, 58), noise(4, 1, 41, 58, seed=1)
    with torch.no_grad():
        together = tiny_student(ir, vis)
        alone = [tiny_student(ir[i : i + 1], vis[i : i + 1]) for i in range(4)]
    assert (together - torch.cat(alone)).abs().max() < 1e-3


def _hot_pixel() -> Tensor:
    image = torch.zeros(1, 1, 40, 40)
    image[0, 0, 20, 20] = 255
    return image


PICTURES: dict[str, Callable[[], Tensor]] = {
    "black": lambda: torch.zeros(1, 1, 40, 40),
    "saturated": lambda: torch.full((1, 1, 40, 40), 255.0),
    "constant": lambda: torch.full((1, 1, 40, 40), 93.0),
    "hot pixel": _hot_pixel,
}


@pytest.mark.parametrize("ir", PICTURES)
@pytest.mark.parametrize("vis", PICTURES)
def test_extreme_pictures_stay_finite_and_in_range(
    tiny_student: nn.Module, ir: str, vis: str
) -> None:
    with torch.no_grad():
        fused = tiny_student(PICTURES[ir](), PICTURES[vis]())
    assert bool(torch.isfinite(fused).all())
    assert 0 <= float(fused.min()) <= float(fused.max()) <= 255


def test_no_statistics_of_the_whole_picture(tiny_student: nn.Module) -> None:
    """A hot pixel in one corner leaves the far corner as it was, so video does not flicker."""
    ir, vis = noise(1, 1, 256, 256), noise(1, 1, 256, 256, seed=1)
    hot = ir.clone()
    hot[0, 0, 0, 0] = 255.0 - hot[0, 0, 0, 0]
    with torch.no_grad():
        change = (tiny_student(hot, vis) - tiny_student(ir, vis)).abs()
    assert change[..., :16, :16].max() > 0
    assert change[..., 128:, 128:].max() == 0


def test_full_resolution_detail_survives(tiny_student: nn.Module) -> None:
    """One changed pixel changes itself by its gain, and a neighbour in its patch far less."""
    flat = torch.full((1, 1, 64, 64), 100.0)
    dotted = flat.clone()
    dotted[0, 0, 33, 33] = 104.0
    with torch.no_grad():
        change = (tiny_student(flat, dotted) - tiny_student(flat, flat))[0, 0]
    others = change[32:36, 32:36].abs().sum() - change[33, 33].abs()
    assert change[33, 33].abs() > 2 * others / 15


def test_every_parameter_learns(tiny_student: nn.Module) -> None:
    tiny_student.train()
    tiny_student(noise(2, 1, 64, 64), noise(2, 1, 64, 64, seed=1)).square().mean().backward()
    idle = [
        name
        for name, parameter in tiny_student.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.any())
    ]
    assert idle == []


@pytest.mark.parametrize(
    ("ir", "vis", "field"),
    [
        (noise(1, 1, 31, 40), noise(1, 1, 31, 40), "ir"),
        (noise(1, 1, 40, 40), noise(1, 1, 40, 41), "vis"),
        (noise(1, 3, 40, 40), noise(1, 1, 40, 40), "ir"),
        (noise(1, 1, 40, 40) + 10, noise(1, 1, 40, 40), "ir"),
    ],
)
def test_pictures_that_break_the_contract(
    tiny_student: nn.Module, ir: Tensor, vis: Tensor, field: str
) -> None:
    with pytest.raises(InvalidInput, match=f"^{field}: got"):
        tiny_student(ir, vis)


def test_rt_is_small_enough_for_real_time() -> None:
    parameters = sum(parameter.numel() for parameter in build("rt").parameters())
    assert "rt" in variants()
    assert parameters * 4 < 6 * 2**20


def test_unknown_names_list_the_valid_ones() -> None:
    with pytest.raises(UnknownName, match="did you mean 'rt'"):
        build("rtt")
    with pytest.raises(UnknownName, match="did you mean 'quarter_channels'"):
        build("rt", quarter_chanels=4)


@pytest.mark.parametrize(
    ("option", "value"),
    [("quarter_channels", 0), ("sixteenth_layers", 1.5), ("margin", 8), ("head", "minmax")],
)
def test_numbers_that_make_no_network(option: str, value: object) -> None:
    with pytest.raises(InvalidInput, match=option):
        build("rt", **{option: value})
