"""Finds the terms of a loss that change nothing, as a weight on the wrong scale makes them do."""

from __future__ import annotations

import torch
from torch import Tensor

from crossfuse_training.losses.inputs import LossValue


class InertReport:
    """Compares the gradients that the weighted terms send into the fused picture.

    A term whose share of all their norms stays below `threshold` on average over `window` steps is
    inert. Only every `every`-th step is measured, and only back to the fused picture, so it costs
    a few percent of a step. Terms that do not act through the fused picture (features) are not
    judged.
    """

    def __init__(self, window: int = 100, every: int = 10, threshold: float = 0.001) -> None:
        self.window = window
        self.every = every
        self.threshold = threshold
        self._shares: dict[str, list[float]] = {}

    def observe(self, step: int, value: LossValue, fused: Tensor) -> dict[str, float]:
        """Take a step's loss, before its backward pass; steps count from 1.

        At the end of each window: the inert terms and their mean shares. Otherwise nothing.
        """
        if step % self.every == 0:
            for name, share in gradient_shares(value, fused).items():
                self._shares.setdefault(name, []).append(share)
        if step % self.window != 0:
            return {}
        shares, self._shares = self._shares, {}
        means = {name: sum(found) / len(found) for name, found in shares.items()}
        return {name: mean for name, mean in means.items() if mean < self.threshold}


def gradient_shares(value: LossValue, fused: Tensor) -> dict[str, float]:
    """Each term's share of the sum of gradient norms at the fused picture; the graph is kept."""
    norms = {}
    for name, part in value.parts.items():
        if not part.requires_grad:
            continue
        (gradient,) = torch.autograd.grad(part, fused, retain_graph=True, allow_unused=True)
        if gradient is not None:
            norms[name] = value.weights[name] * float(gradient.float().norm())
    total = sum(norms.values())
    return {name: norm / total for name, norm in norms.items()} if total > 0 else {}
