"""Which parameters are decayed and how fast they learn; the published optimiser by its numbers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_training.losses import FeatureAdapters
from crossfuse_training.networks.registry import build
from crossfuse_training.optimisation import (
    OptimiserConfig,
    ScheduleConfig,
    build_optimiser,
    learning_rate,
    parameter_groups,
    set_rate,
)

TINY = {
    "shallow_channels": 2,
    "growth_channels": 2,
    "half_channels": 4,
    "deep_channels": 4,
    "heads": 4,
    "decoder_channels": 4,
}
LEGACY = OptimiserConfig(kind="legacy", learning_rate=1e-3, weight_decay=0.9)


@pytest.fixture
def network() -> nn.Module:
    """Norms of both kinds, gates of three kinds, and temperatures of each head."""
    torch.manual_seed(0)
    return build(
        "crossfuse",
        **TINY,
        temperature="per_head",
        residual_gates=True,
        skip_gates="attention",
        learned_weights="both",
    )


def names_of(network: nn.Module, parameters: list[nn.Parameter]) -> set[str]:
    wanted = {id(parameter) for parameter in parameters}
    return {name for name, parameter in network.named_parameters() if id(parameter) in wanted}


def test_norms_biases_gates_and_temperatures_are_not_decayed(network: nn.Module) -> None:
    decayed, kept = parameter_groups(network, OptimiserConfig(learning_rate=1e-3))
    if decayed["weight_decay"] == 0:
        decayed, kept = kept, decayed
    assert (decayed["weight_decay"], kept["weight_decay"]) == (1e-4, 0)
    names = names_of(network, kept["params"])
    for part in ("temperature.raw", "residual.base", "residual.scale", "norm1.weight", ".bias"):
        assert any(part in name for name in names), part
    assert any("gate" in name and network.get_parameter(name).ndim == 4 for name in names)
    weights = names_of(network, decayed["params"])
    assert all(network.get_parameter(name).ndim in (2, 4) for name in weights)
    assert not any("gate" in name or "norm" in name or "raw" in name for name in weights)
    assert names | weights == {name for name, _ in network.named_parameters()}
    assert not names & weights


def test_only_gradients_move_a_temperature(network: nn.Module) -> None:
    """The decay of the published optimiser moves it by the learning rate whatever the data say."""
    config = OptimiserConfig(learning_rate=0.01, weight_decay=0.5)
    optimiser = build_optimiser(network, config)
    raw = [p for name, p in network.named_parameters() if name.endswith("temperature.raw")]
    assert raw
    weight = network.get_parameter("ir_encoder.half_block.adjust.weight")
    before = weight.detach().clone()
    with torch.no_grad():
        for parameter in raw:
            parameter.fill_(0.7)
    for _ in range(30):
        for parameter in network.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimiser.step()
    assert all(bool((parameter == 0.7).all()) for parameter in raw)
    assert torch.allclose(weight, before * (1 - 0.01 * 0.5) ** 30, rtol=1e-4)


def test_factors_by_prefix_the_longest_that_fits(network: nn.Module) -> None:
    config = OptimiserConfig(
        learning_rate=1e-3, factors={"ir_encoder": 0.1, "ir_encoder.stem": 0.5, "decoder": 2.0}
    )
    groups = parameter_groups(network, config)
    rates = {}
    for group in groups:
        for name in names_of(network, group["params"]):
            rates[name] = group["lr"]
    for name, rate in rates.items():
        factor = 1.0
        if name.startswith("ir_encoder."):
            factor = 0.5 if name.startswith("ir_encoder.stem.") else 0.1
        elif name.startswith("decoder."):
            factor = 2.0
        assert rate == pytest.approx(1e-3 * factor), name
    assert {group["name"] for group in groups} >= {"all", "ir_encoder", "ir_encoder, no decay"}
    optimiser = build_optimiser(network, config)
    set_rate(optimiser, 0.5, momentum=0.85)
    for group in optimiser.param_groups:
        assert group["lr"] == 0.5 * group["factor"]
        assert group["betas"] == (0.85, 0.999)


def test_a_prefix_is_whole_words_of_a_name_that_is_there(network: nn.Module) -> None:
    for prefix in ("ir_enc", "ir_encodr"):
        with pytest.raises(UnknownName, match="did you mean 'ir_encoder'"):
            parameter_groups(network, OptimiserConfig(learning_rate=1e-3, factors={prefix: 0.1}))


def test_frozen_parameters_are_left_out_and_adapters_join(network: nn.Module) -> None:
    for name in ("ir_encoder", "vis_encoder"):
        network.get_submodule(name).requires_grad_(False)
    adapters = FeatureAdapters([(3, 5)])
    config = OptimiserConfig(learning_rate=1e-3)
    trained = [p for g in parameter_groups(network, config, adapters) for p in g["params"]]
    assert not any("encoder" in name for name in names_of(network, trained))
    assert {id(p) for p in adapters.parameters()} <= {id(p) for p in trained}


def test_the_published_optimiser_is_one_group_with_a_decay_of_0_9(network: nn.Module) -> None:
    for stage, base in (("autoencoder", 1e-4), ("fusion", 1e-3)):
        config = OptimiserConfig(kind="legacy", learning_rate=base, weight_decay=0.9)
        optimiser = build_optimiser(network, config)
        assert type(optimiser) is torch.optim.Adam, stage
        (group,) = optimiser.param_groups
        assert (group["lr"], group["weight_decay"], group["betas"]) == (base, 0.9, (0.9, 0.999))
        assert len(group["params"]) == len(list(network.parameters()))


def test_the_published_run_step_by_step() -> None:
    """Adam with coupled decay by hand, over epochs of two steps with rates b, b, b/10, b/10."""
    layer = nn.Linear(3, 2)
    optimiser = build_optimiser(layer, LEGACY)
    own = [p.detach().clone().double() for p in layer.parameters()]
    first = [torch.zeros_like(p) for p in own]
    second = [torch.zeros_like(p) for p in own]
    data: Tensor = torch.rand(8, 4, 3, generator=torch.Generator().manual_seed(0))
    for step in range(8):
        rate = learning_rate(ScheduleConfig(kind="legacy"), 1e-3, step, 8, 2)
        assert rate == pytest.approx(1e-3 if step < 4 else 1e-4)
        set_rate(optimiser, rate)
        optimiser.zero_grad()
        torch.autograd.backward(layer(data[step]).square().mean())
        for index, parameter in enumerate(layer.parameters()):
            assert parameter.grad is not None
            gradient = parameter.grad.double() + 0.9 * own[index]
            first[index] = 0.9 * first[index] + 0.1 * gradient
            second[index] = 0.999 * second[index] + 0.001 * gradient**2
            mean = first[index] / (1 - 0.9 ** (step + 1))
            square = second[index] / (1 - 0.999 ** (step + 1))
            own[index] = own[index] - rate * mean / (square.sqrt() + 1e-8)
        optimiser.step()
        for expected, parameter in zip(own, layer.parameters(), strict=True):
            assert torch.allclose(parameter.double(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"kind": "adam"}, "did you mean 'adamw'"),
        ({"learning_rate": 0.0}, "optimiser.learning_rate: got 0.0; valid: above 0"),
        ({"weight_decay": -1.0}, "optimiser.weight_decay"),
        ({"clip": 0.0}, "optimiser.clip"),
        ({"accumulate": 0}, "optimiser.accumulate"),
        ({"ema": 1.0}, "optimiser.ema"),
        ({"factors": {"decoder": 0.0}}, r"optimiser\.factors\.decoder"),
        ({"kind": "legacy"}, "optimiser.weight_decay: got 0.0001; valid: 0.9 with kind = legacy"),
        ({"kind": "legacy", "weight_decay": 0.9, "clip": 1.0}, "None with kind = legacy"),
        ({"kind": "legacy", "weight_decay": 0.9, "ema": 0.9}, "optimiser.ema"),
    ],
)
def test_numbers_without_meaning(numbers: dict[str, float], message: str) -> None:
    with pytest.raises((InvalidInput, UnknownName), match=message):
        OptimiserConfig(**({"learning_rate": 1e-3} | numbers))  # type: ignore[arg-type]
