"""One step of training: the function that the loops of all stages share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn

from crossfuse_training.data import Batch
from crossfuse_training.losses import LossInputs, LossValue
from crossfuse_training.optimisation import NanGuard, OptimiserConfig, Precision
from crossfuse_training.stages.workers import Workers


@dataclass(frozen=True)
class Outcome:
    """What a stage made of a batch, and what its losses say of that."""

    inputs: LossInputs
    """`fused` is what the network gave."""
    value: LossValue


Forward = Callable[[nn.Module, Batch, float], Outcome]
"""The network, a batch and the share of the run that is done (0 to 1) to an outcome."""


@dataclass(frozen=True)
class Learner:
    """What a step changes, and by which rules."""

    network: nn.Module
    """What is called in training: the network itself, or its compiled form."""
    optimiser: torch.optim.Optimizer
    precision: Precision
    config: OptimiserConfig
    guard: NanGuard
    workers: Workers


def update(
    learner: Learner,
    forward: Forward,
    step: int,
    batch: Batch,
    progress: float,
    *,
    watch: Callable[[Outcome], None] | None = None,
) -> dict[str, float]:
    """Forward, backward, and one step of the optimiser; the total and the parts, before weights.

    `batch` holds this process's rows. With `accumulate` they go through in equal parts, one after
    another; batch norms see one part at a time then. `watch` is shown the first part before its
    backward pass.
    """
    parts = learner.config.accumulate
    sums: dict[str, float] = {}
    for rows in _rows(len(batch.ir), parts):
        with learner.precision.autocast():
            outcome = forward(learner.network, rows_of(batch, rows), progress)
        learner.guard.check_loss(step, outcome.value, outcome.inputs)
        if watch is not None and not sums:
            watch(outcome)
        learner.precision.backward(outcome.value.total, parts=parts)
        named = {"total": outcome.value.total, **outcome.value.parts}
        for name, value in named.items():
            sums[name] = sums.get(name, 0.0) + float(value.detach()) / parts
    parameters = (p for group in learner.optimiser.param_groups for p in group["params"])
    learner.workers.average_gradients(parameters)
    norm = learner.precision.step(learner.optimiser, learner.config.clip)
    learner.guard.check_gradient(step, norm, outcome.value, outcome.inputs)
    return learner.workers.mean(sums)


def rows_of(batch: Batch, rows: slice) -> Batch:
    """Some rows of a batch."""
    return _changed(batch, lambda pictures: pictures[rows])


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch where the network is; through pinned memory to a GPU, beside its work."""
    if device.type != "cuda":
        return batch
    return _changed(batch, lambda pictures: pictures.pin_memory().to(device, non_blocking=True))


def _changed(batch: Batch, change: Callable[[Tensor], Tensor]) -> Batch:
    """The batch with all of its pictures changed."""
    pictures = {field.name: getattr(batch, field.name) for field in fields(batch)}
    present = {name: tensor for name, tensor in pictures.items() if tensor is not None}
    return replace(batch, **{name: change(tensor) for name, tensor in present.items()})


def _rows(count: int, parts: int) -> Iterator[slice]:
    share = count // parts
    return (slice(part * share, (part + 1) * share) for part in range(parts))
