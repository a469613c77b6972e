"""Learning rates as pure functions of the step, so that a resumed run needs no state for them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from crossfuse_training.optimisation.config import ScheduleConfig

_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_END = _ONE_CYCLE_START / 1e4
_MOMENTA = (0.95, 0.85)
"""At the lowest and at the highest rate of one-cycle."""


def learning_rate(
    config: ScheduleConfig,
    base: float,
    step: int,
    steps: int,
    steps_per_epoch: int,
    history: Sequence[float] = (),
) -> float:
    """The rate of a step, counted from 0 to `steps` - 1.

    `history`: the validation losses so far, lower is better; only plateau reads it.
    """
    epoch = step // steps_per_epoch
    if config.kind == "legacy":
        return base if epoch < 2 else 0.1 * base
    if config.kind == "step":
        return base * float(config.factor ** (epoch // config.every))
    if config.kind == "cosine":
        return base * _blend(1.0, config.final, step / steps)
    if config.kind == "warm-up-cosine":
        rising = round(config.warm_up * steps)
        if step < rising:
            return base * (step + 1) / rising
        return base * _blend(1.0, config.final, (step - rising) / (steps - rising))
    if config.kind == "plateau":
        return base * float(config.factor ** _reductions(config, history))
    if config.kind == "one-cycle":
        rising, share = _cycle(config, step, steps)
        if rising:
            return base * _blend(_ONE_CYCLE_START, 1.0, share)
        return base * _blend(1.0, _ONE_CYCLE_END, share)
    return base


def momentum(config: ScheduleConfig, step: int, steps: int) -> float | None:
    """Adam's first momentum where the schedule moves it too: one-cycle, against the rate."""
    if config.kind != "one-cycle":
        return None
    rising, share = _cycle(config, step, steps)
    low, high = _MOMENTA
    return _blend(low, high, share) if rising else _blend(high, low, share)


def _cycle(config: ScheduleConfig, step: int, steps: int) -> tuple[bool, float]:
    """Whether the rate of one-cycle is rising, and the share of that part that is done."""
    peak, last = config.warm_up * steps - 1, steps - 1
    if peak > 0 and step <= peak:
        return True, step / peak
    peak = max(peak, 0.0)
    return False, (step - peak) / (last - peak) if last > peak else 1.0


def _blend(start: float, end: float, share: float) -> float:
    """From start to end along half a cosine."""
    return end + (start - end) / 2 * (1 + math.cos(math.pi * min(share, 1.0)))


def _reductions(config: ScheduleConfig, history: Sequence[float]) -> int:
    """How often more than `patience` values in a row were no better than the best before them."""
    best, waited, reductions = math.inf, 0, 0
    for value in history:
        if value < best * (1 - config.threshold):
            best, waited = value, 0
        else:
            waited += 1
        if waited > config.patience:
            waited, reductions = 0, reductions + 1
    return reductions
