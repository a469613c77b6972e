"""Optimisers, learning rates, precision and the guards of a training loop.

optimiser = build_optimiser(network, config.optimiser, adapters)
precision = Precision(config.precision.amp, device)
for step in range(steps):                                         # steps count from 0 here
    set_rate(optimiser, learning_rate(schedule, base, step, steps, steps_per_epoch, history),
             momentum(schedule, step, steps))
    with precision.autocast():
        fused = network(ir, vis)
    value = losses(LossInputs(...), progress=step / steps)
    guard.check_loss(step, value, inputs)
    precision.backward(value.total, parts=config.optimiser.accumulate)
    guard.check_gradient(step, precision.step(optimiser, config.optimiser.clip), value, inputs)
    ema.update(network)
"""

from __future__ import annotations

from crossfuse_training.optimisation.batch_size import BatchTrial, LargestBatch, find_batch_size
from crossfuse_training.optimisation.config import OptimiserConfig, ScheduleConfig
from crossfuse_training.optimisation.early_stopping import EarlyStopping
from crossfuse_training.optimisation.ema import Ema
from crossfuse_training.optimisation.groups import build_optimiser, parameter_groups, set_rate
from crossfuse_training.optimisation.learning_rate_finder import RateCurve, find_learning_rate
from crossfuse_training.optimisation.learning_rate_plot import save_plot
from crossfuse_training.optimisation.nan_guard import NanGuard
from crossfuse_training.optimisation.precision import PRECISIONS, Precision
from crossfuse_training.optimisation.schedules import learning_rate, momentum

__all__ = [
    "PRECISIONS",
    "BatchTrial",
    "EarlyStopping",
    "Ema",
    "LargestBatch",
    "NanGuard",
    "OptimiserConfig",
    "Precision",
    "RateCurve",
    "ScheduleConfig",
    "build_optimiser",
    "find_batch_size",
    "find_learning_rate",
    "learning_rate",
    "momentum",
    "parameter_groups",
    "save_plot",
    "set_rate",
]
