"""Every switch: what it leaves alone, what it changes, and that all of it learns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig


def copy_shared(source: nn.Module, target: nn.Module) -> None:
    """Give the target every tensor that the source has; the target keeps what is its own."""
    missing = target.load_state_dict(source.state_dict(), strict=False)
    assert not missing.unexpected_keys


def shake(network: nn.Module) -> None:
    """Move parameters off the values they start from, zero convolutions among them."""
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))


def pair(picture: Callable[..., Tensor]) -> tuple[Tensor, Tensor]:
    return picture(67, 90, seed=0), picture(67, 90, seed=1)


@pytest.mark.parametrize("training", [False, True])
def test_neutral_switches_start_as_the_baseline(
    tiny: CrossFuseConfig, neutral: dict[str, Any], picture: Callable[..., Tensor], training: bool
) -> None:
    baseline = CrossFuse(tiny).train(training)
    switched = CrossFuse(replace(tiny, **neutral)).train(training)
    copy_shared(baseline, switched)
    ir, vis = pair(picture)
    with torch.no_grad():
        assert torch.equal(switched(ir, vis), baseline(ir, vis))


def test_switched_off_leaves_no_trace(tiny: CrossFuseConfig, switch: dict[str, Any]) -> None:
    """Off means the baseline's own tensors and modules, drawn in the same order."""
    defaults = asdict(tiny)
    off = replace(replace(tiny, **switch), **{field: defaults[field] for field in switch})
    torch.manual_seed(1)
    baseline = CrossFuse(tiny).state_dict()
    torch.manual_seed(1)
    restored = CrossFuse(off).state_dict()
    assert list(restored) == list(baseline)
    assert all(torch.equal(restored[name], baseline[name]) for name in baseline)


def test_every_switch_acts_and_all_of_it_learns(
    tiny: CrossFuseConfig, switch: dict[str, Any], picture: Callable[..., Tensor]
) -> None:
    network = CrossFuse(replace(tiny, **switch))
    shake(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # with the batch's own statistics the bias before it does nothing
    ir, vis = pair(picture)
    # Before the head: minmax takes out what the last scale and offset do.
    torch.autograd.backward((network.decode(ir, vis) * torch.rand_like(ir)).mean())
    still = [
        name
        for name, parameter in network.named_parameters()
        if parameter.grad is None or not bool(parameter.grad.abs().max() > 0)
    ]
    # A key's bias adds the same to every score of a row, and normalising takes it away again.
    assert [name for name in still if not name.endswith("key.bias")] == []

    baseline = CrossFuse(tiny)
    shared = baseline.state_dict()
    for name, value in network.state_dict().items():
        if name in shared and shared[name].shape == value.shape:
            shared[name] = value
    baseline.load_state_dict(shared)
    with torch.no_grad():
        assert not torch.equal(network.eval()(ir, vis), baseline.eval()(ir, vis))


def test_gates_and_temperatures_are_one_dimensional(tiny: CrossFuseConfig) -> None:
    """So the usual rule (no decay below two dimensions) keeps weight decay off them."""
    network = CrossFuse(
        replace(tiny, temperature="per_head", residual_gates=True, skip_gates="channel")
    )
    gates = [
        parameter
        for name, parameter in network.named_parameters()
        if name.endswith((".raw", ".factor")) or name.startswith("residual.")
    ]
    assert len(gates) == 2 + 4 + 2
    assert all(gate.ndim == 1 for gate in gates)


def test_residual_gates_are_the_stated_formula(tiny: CrossFuseConfig) -> None:
    network = CrossFuse(replace(tiny, residual_gates=True, residual_base=1.0))
    assert network.residual is not None
    with torch.no_grad():
        network.residual.scale.fill_(0.25)
    fused, ir, vis = (torch.randn(1, 8, 5, 6) for _ in range(3))
    assert torch.allclose(network.residual(fused, ir, vis), (ir + vis) / 2 + 0.25 * fused)


def test_batch_of_four_is_four_batches_of_one(
    tiny: CrossFuseConfig, switch: dict[str, Any], picture: Callable[..., Tensor]
) -> None:
    network = CrossFuse(replace(tiny, **switch)).eval()
    shake(network)
    ir, vis = picture(43, 61, batch=4, seed=0), picture(43, 61, batch=4, seed=1)
    with torch.no_grad():
        together = network(ir, vis)
        apart = torch.cat([network(ir[i : i + 1], vis[i : i + 1]) for i in range(4)])
    assert float((together - apart).abs().max()) < 2e-2
    assert not torch.equal(together[0], together[1])
