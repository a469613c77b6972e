"""From a loss to a step: mixed precision, accumulation and clipping."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from crossfuse.errors import UnknownName
from crossfuse_training.losses import L1Term, Losses, LossInputs, SsimTerm
from crossfuse_training.losses.config import LossConfig
from crossfuse_training.networks.registry import build
from crossfuse_training.optimisation import OptimiserConfig, Precision, build_optimiser

CONFIG = OptimiserConfig(learning_rate=1e-2)


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))


def rows(seed: int) -> Tensor:
    return torch.rand(8, 4, generator=torch.Generator().manual_seed(seed))


def test_parts_of_a_batch_make_the_step_of_the_whole(network: nn.Module) -> None:
    other = copy.deepcopy(network)
    precision, batch = Precision("none"), rows(0)
    for trained, parts in ((network, 1), (other, 4)):
        optimiser = build_optimiser(trained, CONFIG)
        for part in batch.chunk(parts):
            precision.backward(trained(part).square().mean(), parts=parts)
        precision.step(optimiser, None)
    for a, b in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_clipping_scales_all_gradients_together(network: nn.Module) -> None:
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
    before = [p.detach().clone() for p in network.parameters()]
    precision = Precision("none")
    precision.backward(100 * network(rows(0)).square().mean())
    norm = precision.step(optimiser, clip=0.5)
    moved = torch.cat(
        [(p - b).detach().flatten() for p, b in zip(network.parameters(), before, strict=True)]
    )
    assert norm > 0.5
    assert moved.norm().item() == pytest.approx(0.5, rel=1e-3)
    assert all(p.grad is None for p in network.parameters())


def test_without_clipping_it_is_plain_adamw(network: nn.Module) -> None:
    other = copy.deepcopy(network)
    precision, optimiser = Precision("none"), build_optimiser(network, CONFIG)
    plain = build_optimiser(other, CONFIG)
    for step in range(3):
        precision.backward(network(rows(step)).square().mean())
        precision.step(optimiser, None)
        torch.autograd.backward(other(rows(step)).square().mean())
        plain.step()
        plain.zero_grad()
    for a, b in zip(network.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_gradient_that_is_not_finite_moves_nothing(network: nn.Module) -> None:
    before = [p.detach().clone() for p in network.parameters()]
    precision, optimiser = Precision("none"), build_optimiser(network, CONFIG)
    precision.backward(network(rows(0)).mean() * float("inf"))
    assert not torch.tensor(precision.step(optimiser, 1.0)).isfinite()
    assert all(torch.equal(p, b) for p, b in zip(network.parameters(), before, strict=True))


@pytest.mark.parametrize(("amp", "dtype"), [("bf16", torch.bfloat16), ("fp16", torch.float16)])
def test_the_network_runs_in_half_and_the_loss_in_single(amp: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    student = build(
        "rt", quarter_channels=4, eighth_channels=4, sixteenth_channels=4, sixteenth_layers=1
    )
    losses = Losses(LossConfig(l1=L1Term(weight=1.0), ssim=SsimTerm(weight=10.0)))
    ir, vis = 255 * torch.rand(2, 2, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    precision, optimiser = Precision(amp), build_optimiser(student, CONFIG)
    seen: list[torch.dtype] = []
    student.get_submodule("ir_stem").register_forward_hook(
        lambda _module, _inputs, output: seen.append(output.dtype)
    )
    totals = []
    for step in range(12):
        with precision.autocast():
            fused = student(ir, vis)
        value = losses(LossInputs(fused, ir, vis, ir), progress=step / 12)
        assert value.total.dtype == torch.float32
        precision.backward(value.total)
        assert precision.step(optimiser, 50.0) > 0
        totals.append(value.total.item())
    assert seen[0] == dtype
    assert totals[-1] < totals[0]
    assert all(parameter.dtype == torch.float32 for parameter in student.parameters())


def test_the_scale_of_fp16_survives_a_resume(network: nn.Module) -> None:
    precision, optimiser = Precision("fp16"), build_optimiser(network, CONFIG)
    precision.backward(network(rows(0)).mean() * float("inf"))
    precision.step(optimiser, None)
    state = precision.state_dict()
    assert state["scale"] == 2.0**15, "halved once"
    other = Precision("fp16")
    other.load_state_dict(state)
    assert other.state_dict() == state
    plain = Precision("none")
    plain.load_state_dict(plain.state_dict())


def test_other_names_are_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean 'bf16'"):
        Precision("bf61")
