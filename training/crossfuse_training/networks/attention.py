"""Transformer blocks over the tokens of a tile: self-attention, and attention across modalities."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from crossfuse_training.networks.normalisers import Normaliser
from crossfuse_training.networks.temperature import Temperature

NORM_EPSILON = 1e-6


def split_heads(tokens: Tensor, heads: int) -> Tensor:
    """Tokens [N,T,D] to [N,heads,T,D/heads]."""
    return tokens.reshape(-1, tokens.shape[1], heads, tokens.shape[2] // heads).transpose(1, 2)


def join_heads(tokens: Tensor) -> Tensor:
    """Inverse of split_heads."""
    return tokens.transpose(1, 2).flatten(2)


class FeedForward(nn.Sequential):
    """Two linear layers with an exact GELU between."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))


class SelfAttention(nn.Module):
    """Multi-head attention of tokens [N,T,D] among themselves."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.normalise = Normaliser("softmax")
        self.project = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        query, key, value = (
            split_heads(part, self.heads) for part in self.qkv(tokens).chunk(3, -1)
        )
        weights = self.normalise((query * self.scale) @ key.transpose(-2, -1))
        mixed: Tensor = self.project(join_heads(weights @ value))
        return mixed


class CrossAttention(nn.Module):
    """Multi-head attention of one modality's tokens to the other's, most to what is least alike.

    Scores are negated before they are normalised: what the two modalities do not share is what a
    fused picture has to add.
    """

    def __init__(self, width: int, heads: int, *, normaliser: str, temperature: str) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width // heads) ** -0.5
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.temperature: Temperature | None = None
        if temperature != "none":
            self.temperature = Temperature(heads if temperature == "per_head" else 1)
        self.normalise = Normaliser(normaliser)
        self.project = nn.Linear(width, width)

    def forward(self, queries: Tensor, context: Tensor) -> Tensor:
        query = split_heads(self.query(queries), self.heads)
        key = split_heads(self.key(context), self.heads)
        value = split_heads(self.value(context), self.heads)
        scores = (query * -self.scale) @ key.transpose(-2, -1)
        if self.temperature is not None:
            scores = self.temperature(scores)
        mixed: Tensor = self.project(join_heads(self.normalise(scores) @ value))
        return mixed

    @torch.no_grad()
    def fold_temperature(self) -> None:
        """Move the temperature into the query weights; the attention stays what it was."""
        if self.temperature is None:
            return
        per_head = self.temperature.tau().expand(self.heads)
        per_row = per_head.repeat_interleave(self.query.out_features // self.heads)
        self.query.weight.div_(per_row[:, None])
        self.query.bias.div_(per_row)
        self.temperature = None


class SelfBlock(nn.Module):
    """Pre-norm transformer block: attention and feed-forward, each added to what came in."""

    def __init__(self, width: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, NORM_EPSILON)
        self.attention = SelfAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, NORM_EPSILON)
        self.feed_forward = FeedForward(width, hidden)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.attention(self.norm1(tokens))
        result: Tensor = tokens + self.feed_forward(self.norm2(tokens))
        return result


class CrossBlock(nn.Module):
    """The other modality asks (query), this one answers (key, value) and is added to.

    One norm serves both modalities before the attention.
    """

    def __init__(
        self, width: int, heads: int, hidden: int, *, normaliser: str, temperature: str
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, NORM_EPSILON)
        self.attention = CrossAttention(
            width, heads, normaliser=normaliser, temperature=temperature
        )
        self.norm2 = nn.LayerNorm(width, NORM_EPSILON)
        self.feed_forward = FeedForward(width, hidden)

    def forward(self, other: Tensor, own: Tensor) -> Tensor:
        own = own + self.attention(self.norm1(other), self.norm1(own))
        result: Tensor = own + self.feed_forward(self.norm2(own))
        return result
