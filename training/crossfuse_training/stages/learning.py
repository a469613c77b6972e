"""What learns in a run: weights, optimiser, averages; taken down and put back as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from crossfuse_training.optimisation import (
    Ema,
    NanGuard,
    Precision,
    build_optimiser,
    learning_rate,
    momentum,
    set_rate,
)
from crossfuse_training.parameter_prefixes import require_prefix
from crossfuse_training.recipe import Recipe
from crossfuse_training.recipe_tables import Frozen
from crossfuse_training.stages.starting_network import freeze
from crossfuse_training.stages.step import Forward, Learner
from crossfuse_training.stages.workers import Workers, share_statistics


@dataclass(frozen=True)
class Prepared:
    """What a stage trains."""

    network: nn.Module
    """What the checkpoint holds."""
    forward: Forward
    companions: nn.ModuleDict
    """What learns beside it and is thrown away."""
    frozen: tuple[Frozen, ...]


class Learning:
    """The network and all that the optimiser works with."""

    def __init__(
        self, recipe: Recipe, prepared: Prepared, workers: Workers, bad_batches: Path
    ) -> None:
        self.network = prepared.network.to(workers.device)
        self.companions = prepared.companions.to(workers.device)
        self._recipe = recipe
        self._frozen = prepared.frozen
        self._held: tuple[Frozen, ...] | None = None
        for entry in self._frozen:
            require_prefix("network.frozen.prefix", entry.prefix, self.network)
        share_statistics(self.network, workers)
        amp = recipe.precision.amp
        self.learner = Learner(
            network=_compiled(self.network) if recipe.precision.compile else self.network,
            optimiser=build_optimiser(self.network, recipe.optimiser, self.companions),
            precision=Precision(amp, workers.device),
            config=recipe.optimiser,
            guard=NanGuard(bad_batches, scaled=amp == "fp16"),
            workers=workers,
        )
        decay = recipe.optimiser.ema
        self._ema = None if decay is None else Ema(self.network, decay)

    def before_step(self, step: int, steps_per_epoch: int, history: list[float]) -> None:
        """Set the learning rate, and what is frozen, for a step counted from 1."""
        recipe, done = self._recipe, step - 1
        rate = learning_rate(
            recipe.schedule,
            recipe.optimiser.learning_rate,
            done,
            recipe.steps,
            steps_per_epoch,
            history,
        )
        set_rate(self.learner.optimiser, rate, momentum(recipe.schedule, done, recipe.steps))
        share = done / recipe.steps
        held = tuple(entry for entry in self._frozen if share < entry.until or entry.until == 1)
        if held != self._held or not self.network.training:
            self.network.train()
            self.companions.train()
            freeze(self.network, held)
            self._held = held

    def after_step(self) -> None:
        """Take the new weights into their mean."""
        if self._ema is not None:
            self._ema.update(self.network)

    def rates(self) -> dict[str, float]:
        """The learning rate of every part that has one of its own."""
        return {
            group["name"]: group["lr"]
            for group in self.learner.optimiser.param_groups
            if not group["name"].endswith(", no decay")
        }

    @contextmanager
    def evaluating(self) -> Iterator[nn.Module]:
        """The network as it is validated and kept: averaged weights, evaluation mode."""
        self.network.eval()
        self.companions.eval()
        if self._ema is None:
            yield self.network
        else:
            with self._ema.applied(self.network):
                yield self.network

    def weights(self) -> dict[str, Any]:
        """As the optimiser sees them."""
        return {
            "network": self.network.state_dict(),
            "companions": self.companions.state_dict(),
        }

    def helpers(self) -> dict[str, Any]:
        """The states of the loss scaling and of the averages."""
        return {
            "precision": self.learner.precision.state_dict(),
            "ema": None if self._ema is None else self._ema.state_dict(),
        }

    def restore(
        self, weights: dict[str, Any], optimiser: dict[str, Any], helpers: dict[str, Any]
    ) -> None:
        """Go on from what another process took down."""
        self.network.load_state_dict(weights["network"])
        self.companions.load_state_dict(weights["companions"])
        self.learner.optimiser.load_state_dict(optimiser)
        self.learner.precision.load_state_dict(helpers["precision"])
        if self._ema is not None:
            self._ema.load_state_dict(helpers["ema"])


def _compiled(network: nn.Module) -> nn.Module:
    compiled: nn.Module = torch.compile(network)  # type: ignore[assignment]
    return compiled
