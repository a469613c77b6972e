"""A running mean of the weights, which is steadier than the weights themselves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from crossfuse.errors import InvalidInput


class Ema:
    """Mean of every parameter and floating buffer with exponentially falling weights.

    The first steps have a smaller decay, (1 + n) / (10 + n), so that a short run is not a mean of
    its random start. Counters and other whole numbers are copied.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.updates = 0
        self._mean = {name: value.clone() for name, value in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Take in the weights after a step."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for name, value in network.state_dict().items():
            if value.is_floating_point():
                self._mean[name].lerp_(value, 1 - decay)
            else:
                self._mean[name].copy_(value)

    @contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        """Within the block the network has the mean, for validating and saving it."""
        own = {name: value.clone() for name, value in network.state_dict().items()}
        network.load_state_dict(self._mean)
        try:
            yield
        finally:
            network.load_state_dict(own)

    def state_dict(self) -> dict[str, Any]:
        """For resume."""
        return {"updates": self.updates, "mean": dict(self._mean)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        mean: dict[str, Tensor] = state["mean"]
        if mean.keys() != self._mean.keys():
            names = sorted(mean.keys() ^ self._mean.keys())
            raise InvalidInput("ema", f"a state that differs in {names[0]}", "this network's")
        self.updates = state["updates"]
        for name, value in mean.items():
            self._mean[name].copy_(value)
