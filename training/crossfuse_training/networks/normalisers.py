"""How attention turns scores into weights that are >= 0 and sum to 1: softmax and two sparse ways.

The sparse ones find the support by sorting and then use the closed form of the threshold on that
support. So the gradient is the exact one, and an exporter sees sort, cumulative sum and plain
arithmetic only.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossfuse_training.networks.precision import at_least_single

_SMALLEST_SPREAD = 1e-12


def sparsemax(scores: Tensor) -> Tensor:
    """Euclidean projection of the last dimension onto the probability simplex."""
    scores = scores - scores.amax(-1, keepdim=True)
    with torch.no_grad():
        ranked, count = _ranked(scores)
        inside = 1 + count * ranked > ranked.cumsum(-1)
        support = scores >= _smallest(ranked, inside)
    size = support.sum(-1, keepdim=True)
    threshold = (torch.where(support, scores, 0.0).sum(-1, keepdim=True) - 1) / size
    return torch.relu(scores - threshold)


def entmax15(scores: Tensor) -> Tensor:
    """Entmax with alpha 1.5: between softmax and sparsemax; weights are relu(s / 2 - t) squared."""
    halves = (scores - scores.amax(-1, keepdim=True)) / 2
    with torch.no_grad():
        ranked, count = _ranked(halves)
        mean = ranked.cumsum(-1) / count
        spread = ranked.square().cumsum(-1) - count * mean.square()
        thresholds = mean - ((1 - spread) / count).clamp(min=0).sqrt()
        support = halves >= _smallest(ranked, thresholds <= ranked)
    size = support.sum(-1, keepdim=True)
    mean = torch.where(support, halves, 0.0).sum(-1, keepdim=True) / size
    spread = torch.where(support, (halves - mean).square(), 0.0).sum(-1, keepdim=True)
    threshold = mean - ((1 - spread) / size).clamp(min=_SMALLEST_SPREAD).sqrt()
    return torch.relu(halves - threshold).square()


def _ranked(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The scores in falling order, and 1, 2, 3 ... beside them."""
    ranked = scores.sort(dim=-1, descending=True).values
    count = torch.arange(1, scores.shape[-1] + 1, device=scores.device, dtype=scores.dtype)
    return ranked, count


def _smallest(ranked: Tensor, inside: Tensor) -> Tensor:
    return torch.where(inside, ranked, torch.inf).amin(-1, keepdim=True)


class Normaliser(nn.Module):
    """Scores [N,heads,queries,keys] to attention weights of the same shape, rows summing to 1.

    A module of its own so that a forward hook on it sees every attention map.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, scores: Tensor) -> Tensor:
        # In half precision the sums would lose what the weights stand for.
        scores = at_least_single(scores)
        if self.name == "sparsemax":
            return sparsemax(scores)
        if self.name == "entmax15":
            return entmax15(scores)
        return scores.softmax(dim=-1)
