"""Pictures that break arithmetic, and input that breaks the contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from crossfuse.errors import InvalidInput
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.encoder import EncoderFeatures
from crossfuse_training.networks.reconstruction_decoder import AutoEncoder
from crossfuse_training.networks.skips import shares, signed_shares


def one_hot() -> Tensor:
    image = torch.zeros(1, 1, 33, 47)
    image[0, 0, 20, 30] = 255
    return image


def pairs() -> dict[str, tuple[Tensor, Tensor]]:
    black, full = torch.zeros(1, 1, 33, 47), torch.full((1, 1, 33, 47), 255.0)
    return {
        "black": (black, black),
        "constant": (black + 93, black + 17),
        "saturated": (full, full),
        "black-saturated": (black, full),
        "one-hot": (one_hot(), black),
        "one-hot-inverted": (255 - one_hot(), one_hot()),
    }


def test_finite_on_adversarial_pictures(tiny: CrossFuseConfig, switch: dict[str, Any]) -> None:
    network = CrossFuse(replace(tiny, **switch)).eval()
    for name, (ir, vis) in pairs().items():
        with torch.no_grad():
            fused = network(ir, vis)
        assert bool(torch.isfinite(fused).all()), name
        assert 0 <= float(fused.min()) <= float(fused.max()) <= 255.01, name


class Cancelling(nn.Module):
    """Stands for an encoder: at each position the channels sum to zero."""

    def __init__(self, config: CrossFuseConfig, sign: float) -> None:
        super().__init__()
        self.sign = sign
        self.levels = {
            1: config.shallow_channels,
            2: config.half_channels,
            4: config.deep_channels,
            8: config.deep_channels,
        }

    def forward(self, image: Tensor) -> EncoderFeatures:
        generator = torch.Generator().manual_seed(0)
        height, width = image.shape[2:]
        maps = []
        for shrink, channels in self.levels.items():
            noise = torch.randn(1, channels, height // shrink, width // shrink, generator=generator)
            maps.append(self.sign * 100 * (noise - noise.mean(dim=1, keepdim=True)))
        return EncoderFeatures(*maps)


def test_finite_on_features_that_cancel(tiny: CrossFuseConfig, switch: dict[str, Any]) -> None:
    """Sums over channels are zero in each modality, and features are opposite between them."""
    network = CrossFuse(replace(tiny, **switch)).eval()
    network.add_module("ir_encoder", Cancelling(tiny, 1.0))
    network.add_module("vis_encoder", Cancelling(tiny, -1.0))
    with torch.no_grad():
        fused = network(*pairs()["black"])
    assert bool(torch.isfinite(fused).all())


def test_shares_of_a_sum_that_is_exactly_zero() -> None:
    exact = torch.tensor([-0.5e-6, 0.0, 3.0, -1e-6])
    other = torch.tensor([-0.5e-6, 0.0, -3.0, 0.0])
    for share in signed_shares(exact, other):
        assert bool(torch.isfinite(share).all())
    plain = shares(torch.tensor([2.0]), torch.tensor([6.0]))
    signed = signed_shares(torch.tensor([2.0]), torch.tensor([6.0]))
    assert plain == signed == pytest.approx((0.25, 0.75))


def test_gradients_stay_finite_on_flat_pictures(
    tiny: CrossFuseConfig, switch: dict[str, Any]
) -> None:
    network = CrossFuse(replace(tiny, **switch))
    ir, vis = pairs()["black-saturated"]
    network(torch.cat([ir, vis]), torch.cat([vis, ir])).square().mean().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is None or bool(torch.isfinite(parameter.grad).all()), name


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (135, 40), (263, 265)])
def test_any_size(
    tiny: CrossFuseConfig, size: tuple[int, int], picture: Callable[..., Tensor]
) -> None:
    network = CrossFuse(replace(tiny, fusion_block="gaff", fusion_stages="123")).eval()
    with torch.no_grad():
        fused = network(picture(*size, seed=0), picture(*size, seed=1))
        rebuilt = AutoEncoder(tiny.autoencoder()).eval()(picture(*size))
    assert fused.shape == rebuilt.shape == (1, 1, *size)


GOOD = torch.zeros(1, 1, 40, 40)


@pytest.mark.parametrize(
    ("ir", "vis", "message"),
    [
        (GOOD[0], GOOD, r"ir: got a tensor of shape \(1, 40, 40\); valid: .*\[batch,1,height"),
        (GOOD, GOOD.expand(1, 3, 40, 40), r"vis: got a tensor of shape \(1, 3, 40, 40\)"),
        (GOOD[:, :, :31], GOOD[:, :, :31], r"ir: got .*\(1, 1, 31, 40\); valid: .* 32 or more"),
        (GOOD[:0], GOOD[:0], r"ir: got a tensor of shape \(0, 1, 40, 40\)"),
        (GOOD, torch.zeros(2, 1, 40, 40), r"vis: got .*\(2, 1, 40, 40\); valid: the shape of ir"),
        (GOOD.to(torch.uint8), GOOD, r"ir: got a tensor of torch.uint8"),
        (GOOD - 1, GOOD, r"ir: got values from -1 to -1; valid: .* 0..255"),
        (GOOD, GOOD + 256, r"vis: got values from 256 to 256"),
        (GOOD, GOOD * torch.nan, r"vis: got values from nan to nan"),
    ],
)
def test_input_that_breaks_the_contract(
    tiny: CrossFuseConfig, ir: Tensor, vis: Tensor, message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        CrossFuse(tiny)(ir, vis)
