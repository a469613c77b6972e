"""The running mean of weights, and how it goes through a resume."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from crossfuse.errors import InvalidInput
from crossfuse_training.optimisation import Ema


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def train(network: nn.Module, ema: Ema, seeds: range) -> None:
    for seed in seeds:
        torch.manual_seed(seed)
        network(torch.rand(2, 1, 8, 8))
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter))
        ema.update(network)


def test_the_mean_by_hand() -> None:
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(0.0)
    ema, mean = Ema(layer, 0.25), 0.0
    for update in range(1, 6):
        with torch.no_grad():
            layer.weight.fill_(float(update))
        ema.update(layer)
        decay = min(0.25, (1 + update) / (10 + update))
        mean = decay * mean + (1 - decay) * update
    with ema.applied(layer):
        assert layer.weight.item() == pytest.approx(mean)
    assert layer.weight.item() == 5


def test_counters_are_copied_and_everything_comes_back(network: nn.Module) -> None:
    ema = Ema(network, 0.9)
    train(network, ema, range(3))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with ema.applied(network):
        within = {name: value.clone() for name, value in network.state_dict().items()}
    after = network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert within["1.num_batches_tracked"] == 3
    assert not torch.equal(within["0.weight"], before["0.weight"])


def test_it_comes_back_after_an_error(network: nn.Module) -> None:
    ema = Ema(network, 0.9)
    train(network, ema, range(2))
    before = network.state_dict()["0.weight"].clone()
    with pytest.raises(RuntimeError, match="validation"), ema.applied(network):
        raise RuntimeError("validation")
    assert torch.equal(network.state_dict()["0.weight"], before)


def test_a_resumed_mean_goes_on_as_if_nothing_had_been(network: nn.Module) -> None:
    straight = Ema(network, 0.95)
    train(network, straight, range(4))
    halfway = {name: value.clone() for name, value in network.state_dict().items()}
    state = {
        "updates": straight.state_dict()["updates"],
        "mean": {n: v.clone() for n, v in straight.state_dict()["mean"].items()},
    }
    train(network, straight, range(4, 8))
    network.load_state_dict(halfway)
    resumed = Ema(network, 0.95)
    resumed.load_state_dict(state)
    train(network, resumed, range(4, 8))
    expected, found = straight.state_dict(), resumed.state_dict()
    assert found["updates"] == expected["updates"] == 8
    assert all(torch.equal(found["mean"][n], v) for n, v in expected["mean"].items())


def test_the_state_of_another_network_is_refused(network: nn.Module) -> None:
    with pytest.raises(InvalidInput, match=r"differs in 0\.bias"):
        Ema(network, 0.9).load_state_dict({"updates": 1, "mean": {}})
