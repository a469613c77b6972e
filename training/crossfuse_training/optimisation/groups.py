"""Which parameters are decayed, and how fast each part of a network learns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from crossfuse_training.networks.crossfuse import ResidualGates
from crossfuse_training.networks.skip_gates import AttentionGate, FactorGate
from crossfuse_training.networks.temperature import Temperature
from crossfuse_training.optimisation.config import OptimiserConfig
from crossfuse_training.parameter_prefixes import begins, require_prefix

_UNDECAYED = (
    nn.LayerNorm,
    nn.GroupNorm,
    nn.BatchNorm2d,
    Temperature,
    FactorGate,
    AttentionGate,
    ResidualGates,
)


def build_optimiser(
    network: nn.Module, config: OptimiserConfig, *others: nn.Module
) -> torch.optim.Optimizer:
    """The optimiser of a network and of what is trained with it, such as FeatureAdapters."""
    groups = parameter_groups(network, config, *others)
    if config.kind == "legacy":
        return torch.optim.Adam(groups, config.learning_rate)
    return torch.optim.AdamW(groups, config.learning_rate)


def parameter_groups(
    network: nn.Module, config: OptimiserConfig, *others: nn.Module
) -> list[dict[str, Any]]:
    """Parameters that ask for a gradient now, by learning-rate factor and by decay.

    Each group has params, lr, weight_decay, factor (on the schedule's rate) and name. Build them
    before freezing what is to be unfrozen later: what has no gradient is left as it is.
    """
    for prefix in config.factors:
        require_prefix("optimiser.factors", prefix, network)
    undecayed = set() if config.kind == "legacy" else set(_undecayed(network, *others))
    groups: dict[tuple[str, bool], dict[str, Any]] = {}
    named = list(network.named_parameters())
    named += [("", parameter) for module in others for parameter in module.parameters()]
    for name, parameter in named:
        if not parameter.requires_grad:
            continue
        prefix = _longest_prefix(name, config)
        decayed = parameter not in undecayed
        factor = config.factors.get(prefix, 1.0)
        group = groups.setdefault(
            (prefix, decayed),
            {
                "params": [],
                "lr": factor * config.learning_rate,
                "weight_decay": config.weight_decay if decayed else 0.0,
                "factor": factor,
                "name": (prefix or "all") + ("" if decayed else ", no decay"),
            },
        )
        group["params"].append(parameter)
    return list(groups.values())


def set_rate(optimiser: torch.optim.Optimizer, rate: float, momentum: float | None = None) -> None:
    """Give every group its share of the schedule's rate, and Adam its momentum if there is one."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group["factor"]
        if momentum is not None:
            group["betas"] = (momentum, group["betas"][1])


def _undecayed(*modules: nn.Module) -> Iterator[nn.Parameter]:
    """Norms, gates and temperatures whole, and every vector or scalar: biases among them."""
    for root in modules:
        for module in root.modules():
            if isinstance(module, _UNDECAYED):
                yield from module.parameters()
        yield from (parameter for parameter in root.parameters() if parameter.ndim <= 1)


def _longest_prefix(name: str, config: OptimiserConfig) -> str:
    return max((prefix for prefix in config.factors if begins(name, prefix)), key=len, default="")
