"""A learnable temperature of attention; no training step makes it zero, negative or infinite."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from crossfuse.errors import InvalidInput

_LIMIT = math.log(100)


class Temperature(nn.Module):
    """tau = exp(L tanh(x / L)) with L = ln 100: 1 at x = 0, always within 0.01 .. 100.

    `raw` (x) is one-dimensional, so that the rule "no weight decay on parameters of one dimension"
    covers it; decay would otherwise move tau whatever the data say.
    """

    def __init__(self, heads: int) -> None:
        super().__init__()
        self.raw = nn.Parameter(torch.zeros(heads))

    def tau(self) -> Tensor:
        """The temperatures, [heads] (or [1] for a common one)."""
        return (_LIMIT * torch.tanh(self.raw / _LIMIT)).exp()

    def forward(self, scores: Tensor) -> Tensor:
        """Divide scores [N,heads,queries,keys] by the temperature of their head."""
        return scores / self.tau().view(1, -1, 1, 1)

    @torch.no_grad()
    def set_tau(self, tau: Tensor) -> None:
        """Take given temperatures, [heads], each within 0.01 .. 100."""
        for value in tau.flatten().tolist():
            if not 1 / 100 < value < 100:
                raise InvalidInput("temperature", f"{value:g}", "above 0.01 and below 100")
        self.raw.copy_(_LIMIT * torch.atanh(tau.to(self.raw).log() / _LIMIT))
