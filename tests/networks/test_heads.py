"""Output heads: ranges, gradients, calibration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from crossfuse.errors import InvalidInput
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.heads import ClampedHead, MinMaxHead, affine_calibration


def test_minmax_stretches_each_picture() -> None:
    raw = torch.randn(3, 1, 8, 9) * torch.tensor([1.0, 10.0, 0.1])[:, None, None, None]
    fused = MinMaxHead()(raw)
    assert torch.equal(fused.amin((1, 2, 3)), torch.zeros(3))
    assert torch.allclose(fused.amax((1, 2, 3)), torch.full((3,), 255.0), atol=0.01)
    assert torch.equal(MinMaxHead()(torch.full((1, 1, 4, 4), 7.0)), torch.zeros(1, 1, 4, 4))


def test_clamped_head_knows_no_statistics() -> None:
    head = ClampedHead(63.75, 127.5).eval()
    raw = torch.tensor([-9.0, -2, -1, 0, 1, 2, 9]).reshape(1, 1, 1, 7)
    assert head(raw).flatten().tolist() == [0, 0, 63.75, 127.5, 191.25, 255, 255]
    assert torch.equal(head(raw)[..., 2:5], head(raw[..., 2:5]))


def test_clamped_head_trains_outside_its_range() -> None:
    head = ClampedHead(63.75, 127.5)
    raw = torch.tensor([-9.0, 0.0, 9.0]).requires_grad_()
    fused = head(raw)
    assert torch.equal(fused, head.eval()(raw))
    fused.sum().backward()
    assert raw.grad is not None
    assert raw.grad.tolist() == [63.75] * 3


def test_calibrated_affine_head_is_minmax_on_one_picture(
    tiny: CrossFuseConfig, picture: Callable[..., Tensor]
) -> None:
    network = CrossFuse(tiny).eval()
    ir, vis = picture(40, 56, seed=0), picture(40, 56, seed=1)
    with torch.no_grad():
        stretched = network(ir, vis)
        gain, offset = affine_calibration([network.decode(ir, vis)])
        network.use_affine_head(gain, offset)
        assert float((network(ir, vis) - stretched).abs().max()) < 0.05
    assert network.config == replace(tiny, head="affine", affine_gain=gain, affine_offset=offset)
    assert not network.head.training


def test_calibration_averages_the_extremes() -> None:
    maps = [
        torch.tensor([0.0, 2.0]).reshape(1, 1, 1, 2),
        torch.tensor([2.0, 8.0]).reshape(1, 1, 1, 2),
    ]
    gain, offset = affine_calibration(maps)
    assert gain * 1 + offset == pytest.approx(0)
    assert gain * 5 + offset == pytest.approx(255)


@pytest.mark.parametrize("maps", [[], [torch.zeros(1, 1, 4, 4)]])
def test_calibration_refuses_nothing_and_flat_maps(maps: list[Tensor]) -> None:
    with pytest.raises(InvalidInput, match="raw_maps"):
        affine_calibration(maps)
