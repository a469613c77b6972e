"""The tables [optimiser] and [schedule] of a recipe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crossfuse_training.rules import require, require_name

OPTIMISERS = ("adamw", "legacy")
SCHEDULES = (
    "constant",
    "legacy",
    "step",
    "cosine",
    "warm-up-cosine",
    "plateau",
    "one-cycle",
)
LEGACY_DECAY = 0.9


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """How gradients become steps."""

    kind: str = "adamw"
    """adamw, or legacy: Adam as published, whose decay of 0.9 is added to every gradient and
    drives weights that matter little to 0."""
    learning_rate: float
    """Base of the schedule; for one-cycle its peak."""
    weight_decay: float = 1e-4
    """Of weights of convolutions and linear layers. Norms, biases, gates and temperatures have
    none, except with legacy, which decays everything."""
    clip: float | None = None
    """Largest norm of the gradient of all parameters together."""
    accumulate: int = 1
    """Backward passes for each step: the batch is cut into that many parts."""
    factors: Mapping[str, float] = field(default_factory=dict)
    """Factor on the learning rate of the parameters whose names begin with a key, whole words
    only: {ir_encoder = 0.1}. The longest key that fits counts."""
    ema: float | None = None
    """Decay of a running mean of the weights, such as 0.999; it is what is validated and kept."""

    def __post_init__(self) -> None:
        require_name("optimiser.kind", self.kind, OPTIMISERS)
        rate, decay = self.learning_rate, self.weight_decay
        require(rate > 0, "optimiser.learning_rate", rate, "above 0")
        require(decay >= 0, "optimiser.weight_decay", decay, "0 or more")
        require(self.clip is None or self.clip > 0, "optimiser.clip", self.clip, "above 0")
        require(self.accumulate >= 1, "optimiser.accumulate", self.accumulate, "1 or more")
        ema = self.ema
        require(ema is None or 0 < ema < 1, "optimiser.ema", ema, "above 0, below 1")
        for prefix, factor in self.factors.items():
            require(factor > 0, f"optimiser.factors.{prefix}", factor, "above 0")
        if self.kind == "legacy":
            self._check_legacy()

    def _check_legacy(self) -> None:
        published: dict[str, object] = {
            "weight_decay": LEGACY_DECAY,
            "clip": None,
            "accumulate": 1,
            "factors": {},
            "ema": None,
        }
        for name, value in published.items():
            received = getattr(self, name)
            valid = f"{value!r} with kind = legacy, as published"
            require(received == value, f"optimiser.{name}", received, valid)


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """How the learning rate moves; each kind reads the numbers that are its own."""

    kind: str = "constant"
    """constant; legacy: a tenth from the third epoch on; step; cosine; warm-up-cosine; plateau;
    one-cycle: rises from 1/25, then falls to 1/250,000, both along a cosine."""
    warm_up: float = 0.05
    """warm-up-cosine and one-cycle: share of the steps in which the rate rises."""
    final: float = 0.01
    """cosine and warm-up-cosine: share of the base that the rate comes down to."""
    every: int = 10
    """step: epochs between reductions."""
    factor: float = 0.5
    """step and plateau: what a reduction multiplies the rate with."""
    patience: int = 10
    """plateau: validations without a better value before a reduction."""
    threshold: float = 1e-4
    """plateau: share by which a value must be below the best one to count as better."""

    def __post_init__(self) -> None:
        require_name("schedule.kind", self.kind, SCHEDULES)
        require(0 <= self.warm_up < 1, "schedule.warm_up", self.warm_up, "0 to below 1")
        require(0 <= self.final <= 1, "schedule.final", self.final, "0 to 1")
        require(self.every >= 1, "schedule.every", self.every, "1 or more")
        require(0 < self.factor < 1, "schedule.factor", self.factor, "above 0, below 1")
        require(self.patience >= 0, "schedule.patience", self.patience, "0 or more")
        require(0 <= self.threshold < 1, "schedule.threshold", self.threshold, "0 to below 1")
