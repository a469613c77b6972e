"""The larger student: its contract, size and training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from crossfuse.errors import InvalidInput
from crossfuse_training.describe import describe
from crossfuse_training.networks.registry import architecture_of, build, from_config
from crossfuse_training.networks.rt_plus import RtPlus

SIZES = [(32, 32), (33, 47), (135, 137)]
TINY: dict[str, Any] = {
    "half_channels": 4,
    "quarter_channels": 4,
    "eighth_channels": 8,
    "sixteenth_channels": 8,
    "quarter_blocks": 1,
    "eighth_blocks": 1,
    "sixteenth_blocks": 1,
    "expansion": 2,
    "excite_reduction": 2,
    "head_width": 4,
}

Pictures = Callable[..., Tensor]


@pytest.fixture
def settled(picture: Pictures) -> RtPlus:
    """A narrow network as after some training: norms have seen pictures, the maps are not zero."""
    network = build("rt-plus", **TINY)
    assert isinstance(network, RtPlus)
    nn.init.normal_(network.maps.weight, std=0.3)
    with torch.no_grad():
        for seed in range(10):
            network(picture(64, 80, batch=2, seed=seed), picture(64, 80, batch=2, seed=seed + 1))
    return network.eval()


def test_fresh_weights_give_the_mean(picture: Pictures) -> None:
    network = build("rt-plus").eval()
    for size in SIZES:
        ir, vis = picture(*size, seed=0), picture(*size, seed=1)
        with torch.no_grad():
            assert float((network(ir, vis) - (ir + vis) / 2).abs().max()) < 1e-4


def test_a_batch_gives_what_its_pictures_give_alone(settled: RtPlus, picture: Pictures) -> None:
    for size in SIZES:
        ir, vis = picture(*size, batch=3, seed=0), picture(*size, batch=3, seed=1)
        with torch.no_grad():
            together = settled(ir, vis)
            alone = torch.cat([settled(ir[i : i + 1], vis[i : i + 1]) for i in range(3)])
        assert together.shape == ir.shape
        assert 0 <= float(together.min()) <= float(together.max()) <= 255
        assert float((together - alone).abs().max()) < 1e-4, size
        assert float((together - (ir + vis) / 2).abs().mean()) > 1, "the body must matter here"


def extremes() -> dict[str, Tensor]:
    hot = torch.zeros(1, 1, 33, 47)
    hot[0, 0, 20, 30] = 255
    return {
        "black": torch.zeros(1, 1, 33, 47),
        "constant": torch.full((1, 1, 33, 47), 93.0),
        "saturated": torch.full((1, 1, 33, 47), 255.0),
        "hot": hot,
        "cold": 255 - hot,
    }


def test_finite_on_extreme_pictures(settled: RtPlus) -> None:
    for (ir_name, ir), (vis_name, vis) in product(extremes().items(), repeat=2):
        settled.zero_grad()
        fused = settled(ir, vis)
        assert bool(torch.isfinite(fused).all()), (ir_name, vis_name)
        assert bool(((fused >= 0) & (fused <= 255)).all()), (ir_name, vis_name)
        torch.autograd.backward(fused.sum())
        for name, parameter in settled.named_parameters():
            assert parameter.grad is not None, name
            assert bool(torch.isfinite(parameter.grad).all()), (name, ir_name, vis_name)


def test_detail_comes_through_pixel_by_pixel(settled: RtPlus, picture: Pictures) -> None:
    """With gains of 1 and 0 the result is the infrared picture, moved by the offset."""
    weight, bias = settled.maps.parameters()
    with torch.no_grad():
        weight.zero_()
        bias.copy_(torch.tensor([9.0, -9.0, 3 / 128]).repeat_interleave(len(bias) // 3))
        ir, vis = picture(33, 47, seed=0) * 0.9, picture(33, 47, seed=1)
        assert float((settled(ir, vis) - ir - 3).abs().max()) < 1e-4


def test_a_hot_pixel_hardly_moves_what_is_far_away(settled: RtPlus, picture: Pictures) -> None:
    """Squeeze-excite and attention see the whole picture, yet no single pixel rules it."""
    ir, vis = picture(256, 256, seed=0).clamp(max=120), picture(256, 256, seed=1)
    hot = ir.clone()
    hot[0, 0, 3, 3] = 255
    with torch.no_grad():
        change = (settled(hot, vis) - settled(ir, vis)).abs()
    assert float(change[..., :16, :16].max()) > 1
    assert float(change[..., 128:, 128:].max()) < 0.01


def test_size_and_work_stay_in_bounds() -> None:
    with torch.device("meta"):
        network = build("rt-plus")
    (whole,) = describe(network, [(512, 512)], depth=0)
    assert whole.parameters == 3_568_044 <= 5_000_000
    assert whole.macs["512x512"] / 1e9 == pytest.approx(4.236, abs=1e-3)
    assert whole.macs["512x512"] <= 25e9


def test_work_grows_with_the_area_only() -> None:
    with torch.device("meta"):
        network = build("rt-plus", **TINY)
    (whole,) = describe(network, [(256, 256), (512, 1024)], depth=0)
    assert whole.macs["512x1024"] == pytest.approx(8 * whole.macs["256x256"], rel=0.01)


def test_every_parameter_learns(settled: RtPlus, picture: Pictures) -> None:
    settled.train()
    fused = settled(picture(64, 64, batch=2, seed=0), picture(64, 64, batch=2, seed=1))
    torch.autograd.backward(fused.square().mean())
    idle = [
        name
        for name, parameter in settled.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.any())
    ]
    assert idle == []


def blobs(seed: int) -> tuple[Tensor, Tensor]:
    """Four synthetic pairs [4,1,48,56]: warm discs on a dark ground, and stripes on a ramp."""
    generator = torch.Generator().manual_seed(seed)
    place, size = 48 * torch.rand(2, 4, 1, 1, 1, generator=generator), 4 + 2 * (seed % 3)
    rows, columns = torch.meshgrid(torch.arange(48.0), torch.arange(56.0), indexing="ij")
    inside = (rows - place[0]).square() + (columns - place[1]).square() < size**2
    stripes = 100 + columns + 40 * torch.sin(rows * (0.5 + place[0] / 48))
    return 30 + 200 * inside.float(), stripes.clamp(0, 255)


def wishes(fused: Tensor, ir: Tensor, vis: Tensor) -> Tensor:
    """Distance to the brighter picture, and of the gradients."""
    difference = fused - torch.maximum(ir, vis)
    return (
        difference.abs().mean()
        + difference.diff(dim=2).abs().mean()
        + difference.diff(dim=3).abs().mean()
    )


def test_thirty_steps_of_training_help() -> None:
    network = build("rt-plus", **TINY | {"half_channels": 8})
    optimiser = torch.optim.AdamW(network.parameters(), 1e-2)
    held_out = blobs(1000)
    with torch.no_grad():
        before = float(wishes(network.eval()(*held_out), *held_out))
    network.train()
    for step in range(30):
        pair = blobs(step)
        loss = wishes(network(*pair), *pair)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    with torch.no_grad():
        after = float(wishes(network.eval()(*held_out), *held_out))
    assert after < 0.5 * before


def test_its_record_builds_it_again() -> None:
    network = build("rt-plus", **TINY)
    assert isinstance(network, RtPlus)
    assert architecture_of(network) == "rt_plus"
    assert from_config("rt_plus", asdict(network.config)).config == network.config


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("half_channels", 0, "half_channels: got 0; valid: a whole number from 1"),
        ("eighth_blocks", 1.5, "eighth_blocks: got 1.5"),
        ("quarter_channels", 30, "quarter_channels: got 30; valid: a multiple of head_width=16"),
        ("offset_scale", 0, "offset_scale: got 0; valid: a number above 0"),
        ("offset_scale", "128", "offset_scale: got '128'"),
        ("head", "minmax", "head: got 'minmax'"),
    ],
)
def test_numbers_that_make_no_network(option: str, value: object, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        build("rt-plus", **{option: value})


def test_pictures_that_break_the_contract(settled: RtPlus) -> None:
    good = torch.zeros(1, 1, 40, 40)
    for ir, vis, field in ((good[:, :, :31], good, "ir"), (good, good[..., 1:], "vis")):
        with pytest.raises(InvalidInput, match=f"^{field}: got"):
            settled(ir, vis)
