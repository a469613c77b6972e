"""How a run is going: means over the steps since the last line, rate, and time still to go."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from torch import nn

from crossfuse_training.networks.crossfuse import ResidualGates
from crossfuse_training.networks.skip_gates import FactorGate
from crossfuse_training.networks.temperature import Temperature


class Progress:
    """Sums over steps until `entry` takes them; what it holds can be saved with the run."""

    def __init__(self, steps: int, batch: int) -> None:
        self._steps = steps
        self._batch = batch
        self._losses: list[dict[str, float]] = []
        self._waited = self._seconds = 0.0
        self._since = time.monotonic()

    def add(self, losses: Mapping[str, float], waited: float) -> None:
        """Take one step: its total under "total", its parts, and the seconds it waited for data."""
        now = time.monotonic()
        self._losses.append(dict(losses))
        self._waited += waited
        self._seconds += now - self._since
        self._since = now

    def pause(self) -> None:
        """What was done since the last step (validation, saving) is not part of the rate."""
        self._since = time.monotonic()

    def entry(self, step: int, rates: Mapping[str, float], network: nn.Module) -> dict[str, Any]:
        """The line for metrics.jsonl, after that many steps; begins a new mean."""
        names = dict.fromkeys(name for losses in self._losses for name in losses)
        means = {name: _mean(self._losses, name) for name in names}
        seconds, count = max(self._seconds, 1e-9), len(self._losses)
        entry = {
            "kind": "train",
            "step": step,
            "pairs_seen": step * self._batch,
            "total": means.pop("total"),
            "parts": means,
            "learning_rate": rates.get("all", max(rates.values())),
            "learning_rates": dict(rates),
            "rate": count * self._batch / seconds,
            "wait_share": min(self._waited / seconds, 1.0),
            "temperatures": temperatures(network),
            "gates": gates(network),
        }
        self._losses, self._waited, self._seconds = [], 0.0, 0.0
        return entry

    def line(self, entry: Mapping[str, Any]) -> str:
        """The same for a reader, with the time still to go."""
        left = (self._steps * self._batch - entry["pairs_seen"]) / entry["rate"]
        parts = " ".join(f"{name} {value:.4g}" for name, value in entry["parts"].items())
        words = [
            f"step {entry['step']}/{self._steps}",
            f"loss {entry['total']:.4g} ({parts})",
            f"rate {entry['learning_rate']:.2e}",
            f"{entry['rate']:.1f} pairs/s",
            f"waiting {entry['wait_share']:.1%}",
            f"{_duration(left)} to go",
        ]
        for kind in ("temperatures", "gates"):
            values = [value for found in entry[kind].values() for value in found]
            if values:
                words.append(f"{kind} {min(values):.3f}..{max(values):.3f}")
        return "  ".join(words)

    def state(self) -> list[dict[str, float]]:
        """The losses that are not in a line yet."""
        return self._losses

    def restore(self, losses: list[dict[str, float]]) -> None:
        """Go on with losses that an interrupted run had not written yet."""
        self._losses = [dict(entry) for entry in losses]


def temperatures(network: nn.Module) -> dict[str, list[float]]:
    """The learned temperatures of every attention, by module."""
    return {
        name: module.tau().detach().cpu().tolist()
        for name, module in network.named_modules()
        if isinstance(module, Temperature)
    }


def gates(network: nn.Module) -> dict[str, list[float]]:
    """The learned factors of skips (lowest, mean, highest) and of the residual (base, scale)."""
    found = {}
    for name, module in network.named_modules():
        if isinstance(module, FactorGate):
            factor = module.factor.detach()
            found[name] = [float(factor.min()), float(factor.mean()), float(factor.max())]
        elif isinstance(module, ResidualGates):
            found[name] = [module.base.item(), module.scale.item()]
    return found


def _mean(losses: list[dict[str, float]], name: str) -> float:
    """Over the steps that had this part: a term of weight 0 is not computed."""
    values = [entry[name] for entry in losses if name in entry]
    return sum(values) / len(values)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"
