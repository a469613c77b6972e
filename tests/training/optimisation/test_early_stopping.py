"""When a run ends for want of progress."""

from __future__ import annotations

import math

import pytest

from crossfuse.errors import InvalidInput
from crossfuse_training.optimisation import EarlyStopping


def test_it_stops_after_patience_values_that_are_no_better() -> None:
    stopping = EarlyStopping(3, higher_is_better=False)
    seen = []
    for step, value in enumerate([5.0, 4.0, 4.0, 4.5, math.nan, 3.0]):
        better = stopping.update(step, value)
        seen.append((better, stopping.should_stop))
    assert seen == [
        (True, False),
        (True, False),
        (False, False),
        (False, False),
        (False, True),
        (True, False),
    ]
    assert (stopping.best, stopping.best_step) == (3.0, 5)


def test_higher_may_be_better() -> None:
    stopping = EarlyStopping(1, higher_is_better=True)
    assert stopping.update(10, 0.5)
    assert stopping.update(20, 0.6)
    assert not stopping.update(30, 0.6)
    assert stopping.should_stop
    assert (stopping.best, stopping.best_step) == (0.6, 20)


def test_patience_0_never_stops() -> None:
    stopping = EarlyStopping(0, higher_is_better=True)
    for step in range(50):
        stopping.update(step, -float(step))
    assert not stopping.should_stop
    with pytest.raises(InvalidInput, match=r"validation\.patience: got -1"):
        EarlyStopping(-1, higher_is_better=True)


def test_a_resumed_one_has_waited_as_long() -> None:
    first = EarlyStopping(2, higher_is_better=False)
    first.update(1, 1.0)
    first.update(2, 2.0)
    second = EarlyStopping(2, higher_is_better=False)
    second.load_state_dict(first.state_dict())
    assert not second.update(3, 1.5)
    assert second.should_stop
    assert second.best_step == 1
