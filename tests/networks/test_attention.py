"""Normalisers against brute force, temperatures under abuse, and folding them away."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from crossfuse.errors import InvalidInput
from crossfuse_training.networks.attention import CrossAttention
from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig
from crossfuse_training.networks.normalisers import entmax15, sparsemax
from crossfuse_training.networks.temperature import Temperature

SCORES = {
    "random": lambda: torch.randn(50, 12, dtype=torch.float64) * 3,
    "equal": lambda: torch.zeros(3, 12, dtype=torch.float64),
    "ties": lambda: torch.tensor([[1.0, 1, 0, 0, -2], [5, 5, 5, -9, 4.9]], dtype=torch.float64),
    "huge": lambda: torch.tensor([[1e6, -1e6, 0, 1e6 - 0.5]], dtype=torch.float64),
    "one": lambda: torch.randn(4, 1, dtype=torch.float64),
}


def projected(row: Tensor) -> Tensor:
    """Nearest point of the simplex: of all supports of the largest scores, the valid one."""
    best = None
    for size in range(1, len(row) + 1):
        threshold = (row.sort(descending=True).values[:size].sum() - 1) / size
        candidate = (row - threshold).clamp(min=0)
        distance = (candidate - row).square().sum()
        if abs(float(candidate.sum()) - 1) < 1e-9 and (best is None or distance < best[0]):
            best = (distance, candidate)
    assert best is not None
    return best[1]


def bisected(row: Tensor) -> Tensor:
    """The weights relu(s / 2 - t) squared whose threshold t makes them sum to 1."""
    halves = row / 2
    low, high = float(halves.max()) - 1, float(halves.max())
    for _ in range(80):
        middle = (low + high) / 2
        if float((halves - middle).clamp(min=0).square().sum()) > 1:
            low = middle
        else:
            high = middle
    return (halves - low).clamp(min=0).square()


@pytest.mark.parametrize("kind", SCORES)
@pytest.mark.parametrize(("normalise", "reference"), [(sparsemax, projected), (entmax15, bisected)])
def test_normalisers_equal_brute_force(
    kind: str, normalise: Callable[[Tensor], Tensor], reference: Callable[[Tensor], Tensor]
) -> None:
    scores = SCORES[kind]()
    weights = normalise(scores)
    assert bool((weights >= 0).all())
    assert torch.allclose(weights.sum(-1), torch.ones(len(scores), dtype=torch.float64))
    assert torch.allclose(weights, torch.stack([reference(row) for row in scores]), atol=1e-8)


@pytest.mark.parametrize("normalise", [sparsemax, entmax15])
def test_normalisers_have_the_exact_gradient(normalise: Callable[[Tensor], Tensor]) -> None:
    scores = torch.randn(6, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(normalise, (scores,))


def test_sparser_in_order() -> None:
    scores = torch.randn(200, 32) * 3
    zeros = [int((weights == 0).sum()) for weights in (sparsemax(scores), entmax15(scores))]
    assert zeros[0] > zeros[1] > 0


def test_temperature_starts_at_one_and_scales_each_head() -> None:
    temperature = Temperature(2)
    assert torch.equal(temperature.tau(), torch.ones(2))
    temperature.set_tau(torch.tensor([0.5, 4.0]))
    assert torch.allclose(temperature.tau(), torch.tensor([0.5, 4.0]))
    scaled = temperature(torch.ones(3, 2, 5, 5))
    assert torch.allclose(scaled[:, 0], torch.tensor(2.0))
    assert torch.allclose(scaled[:, 1], torch.tensor(0.25))
    assert torch.autograd.gradcheck(
        Temperature(2).double(), (torch.randn(1, 2, 3, 3, dtype=torch.float64, requires_grad=True),)
    )


@pytest.mark.parametrize("value", [0.0, -1.0, 100.0, math.nan])
def test_temperature_refuses_what_it_cannot_be(value: float) -> None:
    with pytest.raises(InvalidInput, match=r"above 0\.01 and below 100"):
        Temperature(1).set_tau(torch.tensor([value]))


def test_temperature_stays_positive_under_absurd_steps() -> None:
    temperature = Temperature(16)
    optimizer = torch.optim.SGD(temperature.parameters(), lr=1.0)
    for step in range(10_000):
        temperature.raw.grad = torch.randn(16) * 10.0 ** (step % 30)
        optimizer.step()
        if step % 100 < 30:
            tau = temperature.tau()
            assert bool(((tau > 0) & torch.isfinite(tau)).all()), step


def test_temperature_moves_by_data_and_not_by_decay() -> None:
    attention = CrossAttention(8, 2, normaliser="softmax", temperature="per_head")
    assert attention.temperature is not None
    matrices = [parameter for parameter in attention.parameters() if parameter.ndim > 1]
    vectors = [parameter for parameter in attention.parameters() if parameter.ndim <= 1]
    groups = [
        {"params": matrices, "weight_decay": 0.9},
        {"params": vectors, "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.01)
    a, b, target = torch.randn(3, 4, 6, 8).unbind(0)

    def step(scale: float) -> None:
        optimizer.zero_grad()
        (scale * (attention(a, b) - target).square().mean()).backward()
        optimizer.step()

    norm = float(attention.query.weight.detach().norm())
    for _ in range(30):
        step(0.0)
    assert float(attention.query.weight.detach().norm()) < 0.9 * norm, "decay is at work"
    assert torch.equal(attention.temperature.tau(), torch.ones(2))
    for _ in range(30):
        step(1.0)
    assert float((attention.temperature.tau().detach() - 1).abs().min()) > 1e-3


def test_infinite_temperature_is_uniform_attention() -> None:
    attention = CrossAttention(8, 2, normaliser="softmax", temperature="global").double()
    assert attention.temperature is not None
    with torch.no_grad():
        attention.temperature.raw.fill_(1e9)
        attention.query.weight.mul_(1e-6)
    a, b = torch.randn(2, 1, 6, 8, dtype=torch.float64).unbind(0)
    mean = attention.project(attention.value(b).mean(dim=1, keepdim=True))
    assert torch.allclose(attention(a, b), mean.expand(1, 6, 8), atol=1e-3)


@pytest.mark.parametrize("kind", ["global", "per_head"])
def test_folded_temperatures_leave_the_output(
    tiny: CrossFuseConfig, kind: str, picture: Callable[..., Tensor]
) -> None:
    network = CrossFuse(replace(tiny, temperature=kind, multiscale=True)).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, Temperature):
                module.raw.normal_()
    ir, vis = picture(48, 48, seed=0), picture(48, 48, seed=1)
    with torch.no_grad():
        before = network(ir, vis)
        network.fold_temperatures()
        after = network(ir, vis)
    assert float((before - after).abs().max()) < 1e-2
    assert network.config == replace(tiny, multiscale=True)
    plain = CrossFuse(network.config).eval()
    plain.load_state_dict(network.state_dict())
    with torch.no_grad():
        assert torch.equal(plain(ir, vis), after)
