"""Finds a learning rate: it rises step by step until the loss does too."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from crossfuse.errors import EngineError, InvalidInput
from crossfuse_training.optimisation.groups import set_rate

_MEMORY = 0.9
"""Share of the running mean of losses that a new loss leaves in place."""
_DIVERGED = 3.0
"""Times its lowest value at which the running mean says that a rate is too high."""
_RADIUS = 5
"""Losses before and after a step that are averaged with its own: batches differ."""
_MARGIN = 0.1
"""Where the loss is lowest it is about to rise; a tenth of that rate is far enough away."""


@dataclass(frozen=True)
class RateCurve:
    """Losses along rising learning rates."""

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smoothed: tuple[float, ...]
    """Each loss averaged with its neighbours."""
    lowest_at: float
    """The rate at which the smoothed loss is lowest."""

    @property
    def suggestion(self) -> float:
        """A rate to begin with, for one-cycle as its peak."""
        return _MARGIN * self.lowest_at


def find_learning_rate(
    network: nn.Module,
    optimiser: torch.optim.Optimizer,
    step: Callable[[], float],
    *,
    lowest: float = 1e-6,
    highest: float = 1.0,
    steps: int = 100,
) -> RateCurve:
    """Call `step` (a training step of that optimiser; gives its loss) at rising rates.

    Ends early when the loss has grown to three times its lowest value. The network and the
    optimiser are left as they were.
    """
    if not 0 < lowest < highest:
        raise InvalidInput("lowest and highest", f"{lowest:g}, {highest:g}", "0 < lowest < highest")
    if steps < 10:
        raise InvalidInput("steps", repr(steps), "10 or more")
    weights = copy.deepcopy(network.state_dict())
    state = copy.deepcopy(optimiser.state_dict())
    rates: list[float] = []
    losses: list[float] = []
    mean, best = 0.0, math.inf
    try:
        for index in range(steps):
            rate = lowest * (highest / lowest) ** (index / (steps - 1))
            set_rate(optimiser, rate)
            loss = step()
            if not math.isfinite(loss):
                break
            rates.append(rate)
            losses.append(loss)
            mean = _MEMORY * mean + (1 - _MEMORY) * loss
            running = mean / (1 - _MEMORY ** (index + 1))
            best = min(best, running)
            if running > _DIVERGED * best:
                break
    finally:
        network.load_state_dict(weights)
        optimiser.load_state_dict(state)
    if len(rates) < steps // 10:
        raise EngineError(
            f"the loss is not finite from a learning rate of {lowest:g} on: start with a lower one"
        )
    smoothed = [_mean_around(losses, index) for index in range(len(losses))]
    lowest_at = rates[smoothed.index(min(smoothed))]
    return RateCurve(tuple(rates), tuple(losses), tuple(smoothed), lowest_at)


def _mean_around(losses: Sequence[float], index: int) -> float:
    near = losses[max(0, index - _RADIUS) : index + _RADIUS + 1]
    return sum(near) / len(near)
