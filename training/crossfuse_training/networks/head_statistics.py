"""Numbers about attention heads: temperature, entropy, and whether a head looks sharply or broadly.

A temperature alone does not say how sharp a head is (the size of its queries and keys matters as
much), so heads are classed by both.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from crossfuse.errors import InvalidInput
from crossfuse_training.networks.introspection import AttentionRecord, entropy


@dataclass(frozen=True)
class HeadThresholds:
    """Below `sharp_*` a head is sharp, above `broad_*` it is broad, else moderate."""

    sharp_temperature: float = 0.7
    broad_temperature: float = 1.5
    sharp_entropy: float = 0.5
    """Of the relative entropy: 0 is one token, 1 is all tokens alike."""
    broad_entropy: float = 0.95

    def __post_init__(self) -> None:
        for low, high in (
            ("sharp_temperature", "broad_temperature"),
            ("sharp_entropy", "broad_entropy"),
        ):
            if not getattr(self, low) <= getattr(self, high):
                raise InvalidInput(low, f"{getattr(self, low):g}", f"at most {high}")


@dataclass(frozen=True)
class HeadStatistics:
    """One head of one attention module."""

    module: str
    head: int
    temperature: float | None
    entropy: float
    """Mean over tokens, in nats."""
    relative_entropy: float
    """Entropy over its largest possible value."""
    temperature_class: str | None
    entropy_class: str


@dataclass(frozen=True)
class TemperatureSummary:
    """How the learned temperatures of all heads spread."""

    heads: int
    mean: float
    std: float
    minimum: float
    maximum: float
    gini: float
    """0 when all are equal, towards 1 when one head has it all."""
    classes: dict[str, int]


def head_statistics(
    records: Iterable[AttentionRecord], thresholds: HeadThresholds | None = None
) -> list[HeadStatistics]:
    """One row for each head of each record."""
    limits = thresholds or HeadThresholds()
    rows = []
    for record in records:
        largest = math.log(record.weights.shape[-1])
        means = entropy(record.weights).mean(dim=(0, 2)).tolist()
        for head, mean in enumerate(means):
            tau = None if record.temperatures is None else float(record.temperatures[head])
            relative = mean / largest if largest > 0 else 0.0
            rows.append(
                HeadStatistics(
                    module=record.module,
                    head=head,
                    temperature=tau,
                    entropy=mean,
                    relative_entropy=relative,
                    temperature_class=None
                    if tau is None
                    else _class(tau, limits.sharp_temperature, limits.broad_temperature),
                    entropy_class=_class(relative, limits.sharp_entropy, limits.broad_entropy),
                )
            )
    return rows


def temperature_summary(rows: Iterable[HeadStatistics]) -> TemperatureSummary | None:
    """Spread of the temperatures of all heads that have one; None where no head does."""
    classed = [row for row in rows if row.temperature is not None]
    if not classed:
        return None
    taus = torch.tensor([row.temperature for row in classed], dtype=torch.float64)
    differences = (taus[:, None] - taus[None, :]).abs().mean()
    classes = [row.temperature_class for row in classed]
    return TemperatureSummary(
        heads=len(classed),
        mean=float(taus.mean()),
        std=float(taus.std(correction=0)),
        minimum=float(taus.min()),
        maximum=float(taus.max()),
        gini=float(differences / (2 * taus.mean())),
        classes={kind: classes.count(kind) for kind in ("sharp", "moderate", "broad")},
    )


def _class(value: float, sharp: float, broad: float) -> str:
    if value < sharp:
        return "sharp"
    return "broad" if value > broad else "moderate"
