"""How a network does on the held-out pictures: whole ones, through the way that the user takes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from crossfuse.metrics import describe, evaluate_pair
from crossfuse_training.data import Batch, Data, Pair, PairFiles
from crossfuse_training.recipe_tables import ValidationConfig
from crossfuse_training.stages.step import Forward
from crossfuse_training.tensors import as_tensor, grey_levels

FINISHED = 1.0
"""Held-out losses are weighed as at the end of the run, so that they can be compared."""


@dataclass
class Validation:
    """Means over the pictures, and the metrics of each."""

    loss: float
    metrics: dict[str, float] = field(default_factory=dict)
    per_image: dict[str, dict[str, float]] = field(default_factory=dict)


def chosen_pairs(data: Data, count: int | None) -> Sequence[PairFiles]:
    """So many held-out pairs, spread evenly; all without a count."""
    pairs = data.held_out
    if count is None or count >= len(pairs):
        return pairs
    return [pairs[index * len(pairs) // count] for index in range(count)]


@torch.no_grad()
def validate(
    network: nn.Module,
    forward: Forward,
    pairs: Iterator[Pair],
    config: ValidationConfig,
    device: torch.device,
    *,
    with_metrics: bool,
) -> Validation:
    """Loss and metrics; the network is in evaluation mode and in float32.

    Metrics are of fused pictures: without `with_metrics`, for an auto-encoder, there is the loss.
    """
    losses: list[float] = []
    per_image: dict[str, dict[str, float]] = {}
    for pair in pairs:
        outcome = forward(network, as_batch(pair, device), FINISHED)
        losses.append(float(outcome.value.total))
        if with_metrics and config.metrics:
            fused = grey_levels(outcome.inputs.fused)
            per_image[pair.name] = evaluate_pair(
                pair.ir, pair.luma, fused, config.profile, config.metrics
            )
    return Validation(float(np.mean(losses)), means(list(per_image.values())), per_image)


def means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric over the pictures for which it is defined, where there are any."""
    found = {}
    for name in rows[0] if rows else ():
        values = [row[name] for row in rows if not math.isnan(row[name])]
        if values:
            found[name] = sum(values) / len(values)
    return found


def as_batch(pair: Pair, device: torch.device) -> Batch:
    """A whole pair as a batch of one."""
    ir, luma, background = (
        as_tensor([picture]).to(device) for picture in (pair.ir, pair.luma, pair.background)
    )
    teacher = None if pair.teacher is None else as_tensor([pair.teacher]).to(device)
    return Batch(ir=ir, vis=luma, background=background, aligned_ir=ir, teacher=teacher)


def higher_is_better(config: ValidationConfig) -> bool:
    """Whether a larger value of what the best checkpoint is chosen by is a better one."""
    by_name = {metric.name: metric for metric in describe(config.profile)}
    return config.metric in by_name and by_name[config.metric].direction == "higher"
