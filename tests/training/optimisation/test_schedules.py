"""Learning rates against tables made by hand and against torch's own schedulers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_training.optimisation import ScheduleConfig, learning_rate, momentum


def table(config: ScheduleConfig, steps: int, per_epoch: int = 1, base: float = 1.0) -> list[float]:
    return [learning_rate(config, base, step, steps, per_epoch) for step in range(steps)]


def test_constant() -> None:
    assert table(ScheduleConfig(), 4, base=0.002) == [0.002] * 4


def test_legacy_is_two_epochs_of_the_base_and_then_a_tenth_that_does_not_fall_further() -> None:
    rates = table(ScheduleConfig(kind="legacy"), steps=64, per_epoch=2, base=1e-3)
    assert rates == pytest.approx([1e-3] * 4 + [1e-4] * 60)


def test_step_halves_after_each_ten_epochs_and_stays_there() -> None:
    rates = table(ScheduleConfig(kind="step"), steps=64, per_epoch=2)
    assert rates == [1.0] * 20 + [0.5] * 20 + [0.25] * 20 + [0.125] * 4


def test_cosine() -> None:
    rates = table(ScheduleConfig(kind="cosine", final=0.1), steps=4)
    r = math.sqrt(0.5)
    assert rates == pytest.approx([1.0, 0.55 + 0.45 * r, 0.55, 0.55 - 0.45 * r])
    assert learning_rate(ScheduleConfig(kind="cosine", final=0.1), 1, 4, 4, 1) == pytest.approx(0.1)


def test_warm_up_cosine_is_the_published_pair_of_formulas() -> None:
    """rate (e+1)/5 in the first five of a hundred, then half a cosine over the other 95."""
    rates = table(ScheduleConfig(kind="warm-up-cosine", final=0.0), steps=100)
    assert rates[:6] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0, 1.0])
    expected = [0.5 * (1 + math.cos(math.pi * (e - 5) / 95)) for e in range(5, 100)]
    assert rates[5:] == pytest.approx(expected)
    assert 0 < rates[-1] < 3e-4
    last = learning_rate(ScheduleConfig(kind="warm-up-cosine"), 1.0, 100, 100, 1)
    assert last == pytest.approx(0.01)
    assert table(ScheduleConfig(kind="warm-up-cosine", warm_up=0.0), 3)[0] == 1


@pytest.mark.parametrize("steps", [21, 50, 3000])
def test_one_cycle_is_that_of_torch_momentum_included(steps: int) -> None:
    """As the direct training of `rt` used it."""
    config = ScheduleConfig(kind="one-cycle")
    optimiser = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=0.002)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 0.002, total_steps=steps, pct_start=0.05
    )
    rates, momenta = [], []
    for _ in range(steps):
        rates.append(optimiser.param_groups[0]["lr"])
        momenta.append(optimiser.param_groups[0]["betas"][0])
        optimiser.step()
        if len(rates) < steps:
            schedule.step()
    assert table(config, steps, base=0.002) == pytest.approx(rates, rel=1e-9, abs=1e-15)
    assert [momentum(config, step, steps) for step in range(steps)] == pytest.approx(momenta)


@pytest.mark.parametrize("steps", [1, 3, 20])
def test_one_cycle_too_short_to_rise_only_falls(steps: int) -> None:
    """Where torch divides by 0 or leaves its own range."""
    rates = table(ScheduleConfig(kind="one-cycle"), steps)
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(1 / 25e4)
    assert steps == 1 or rates[0] == 1


def test_only_one_cycle_moves_the_momentum() -> None:
    assert momentum(ScheduleConfig(kind="cosine"), 1, 10) is None


def plateau_of_torch(history: Sequence[float], patience: int) -> float:
    optimiser = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(optimiser, factor=0.5, patience=patience)
    for value in history:
        schedule.step(value)
    return float(optimiser.param_groups[0]["lr"])


def test_plateau_by_hand_and_as_torch_does_it() -> None:
    config = ScheduleConfig(kind="plateau", patience=2)
    for history, expected in (
        ([], 1.0),
        ([5, 4, 3, 2, 1], 1.0),
        ([5, 5, 5], 1.0),
        ([5, 5, 5, 5], 0.5),
        ([5, 6, 6, 6, 6, 6, 6], 0.25),
        ([5, 6, 6, 4, 6, 6], 1.0),
        ([5, 4.9999, 4.9999, 4.9999], 0.5),
    ):
        rate = learning_rate(config, 1.0, 7, 100, 10, history)
        assert rate == expected
        assert rate == plateau_of_torch(history, 2)
    generator = torch.Generator().manual_seed(0)
    noisy = (torch.rand(60, generator=generator) + 1).tolist()
    for count in range(60):
        expected = plateau_of_torch(noisy[:count], 2)
        assert learning_rate(config, 1.0, count, 60, 10, noisy[:count]) == expected


def test_a_rate_depends_on_nothing_that_happened_before() -> None:
    config = ScheduleConfig(kind="warm-up-cosine")
    forwards = table(config, 40)
    backwards = [learning_rate(config, 1.0, step, 40, 1) for step in reversed(range(40))]
    assert forwards == backwards[::-1]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"kind": "cosin"}, "did you mean 'cosine'"),
        ({"warm_up": 1.0}, "schedule.warm_up: got 1.0"),
        ({"final": 1.5}, "schedule.final"),
        ({"every": 0}, "schedule.every: got 0; valid: 1 or more"),
        ({"factor": 1.0}, "schedule.factor"),
        ({"patience": -1}, "schedule.patience"),
        ({"threshold": 1.0}, "schedule.threshold"),
    ],
)
def test_numbers_without_meaning(numbers: dict[str, float], message: str) -> None:
    with pytest.raises((InvalidInput, UnknownName), match=message):
        ScheduleConfig(**numbers)  # type: ignore[arg-type]
