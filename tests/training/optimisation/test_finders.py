"""The searches for a batch size and for a learning rate."""

from __future__ import annotations

import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from crossfuse.errors import EngineError, InvalidInput, OutOfMemory, OutputError
from crossfuse_training.optimisation import (
    batch_size,
    find_batch_size,
    find_learning_rate,
    save_plot,
)


def test_batches_double_until_memory_runs_out() -> None:
    tried = []

    def trial(batch: int) -> None:
        tried.append(batch)
        if batch > 10:
            raise torch.OutOfMemoryError("as CUDA says it")

    found = find_batch_size(trial, memory_limit=10**15)
    assert tried == [1, 2, 4, 8, 16]
    assert (found.batch, found.stopped_by) == (8, "memory")
    assert [entry.batch for entry in found.trials] == [1, 2, 4, 8]


def test_the_ceiling_is_respected() -> None:
    found = find_batch_size(lambda batch: None, ceiling=20, memory_limit=10**15)
    assert (found.batch, found.stopped_by) == (16, "ceiling")


def test_on_a_cpu_the_limit_ends_it_before_it_is_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process of 100 units that grows by 10 for each picture, and may hold 300."""
    tried: list[int] = []
    monkeypatch.setattr(batch_size, "_peak_memory", lambda cuda: 100 + 10 * max(tried, default=0))
    found = find_batch_size(tried.append, memory_limit=300)
    assert tried == [1, 2, 4, 8, 16]
    assert (found.batch, found.stopped_by) == (16, "memory")
    assert [entry.memory for entry in found.trials] == [110, 120, 140, 180, 260]
    tried.clear()
    assert find_batch_size(tried.append, memory_limit=255).batch == 8
    assert tried == [1, 2, 4, 8], "16 would have needed 260"


def test_memory_is_that_of_the_process() -> None:
    (trial,) = find_batch_size(lambda batch: None, ceiling=1, memory_limit=10**15).trials
    assert 50 * 2**20 < trial.memory < 2**40


def test_searches_that_cannot_be() -> None:
    def never(batch: int) -> None:
        raise torch.OutOfMemoryError("as CUDA says it")

    with pytest.raises(OutOfMemory, match="a batch of 1 does not fit"):
        find_batch_size(never, memory_limit=10**15)
    with pytest.raises(OutOfMemory, match="a batch of 1 does not fit"):
        find_batch_size(lambda batch: None, memory_limit=1)
    with pytest.raises(InvalidInput, match="memory_limit: got none"):
        find_batch_size(never)
    with pytest.raises(InvalidInput, match="ceiling: got 0"):
        find_batch_size(never, ceiling=0, memory_limit=1)


class Line:
    """Gradient descent on a parabola, which diverges at rates above 1."""

    def __init__(self) -> None:
        self.network = nn.Linear(1, 1, bias=False)
        with torch.no_grad():
            self.network.weight.fill_(10.0)
        self.optimiser = torch.optim.SGD(
            [{"params": list(self.network.parameters()), "factor": 1.0}], lr=0.1
        )

    def step(self) -> float:
        self.optimiser.zero_grad()
        loss = self.network.weight.square().sum()
        torch.autograd.backward(loss)
        self.optimiser.step()
        return loss.item()


def test_the_rate_lies_between_too_slow_and_diverging(tmp_path: Path) -> None:
    line = Line()
    before = copy.deepcopy((line.network.state_dict(), line.optimiser.state_dict()))
    curve = find_learning_rate(
        line.network, line.optimiser, line.step, lowest=1e-5, highest=100.0, steps=120
    )
    assert 0.05 < curve.lowest_at < 1.5
    assert curve.suggestion == pytest.approx(0.1 * curve.lowest_at)
    assert curve.rates[0] == pytest.approx(1e-5)
    assert curve.rates[-1] > 1, "it went on until the loss rose"
    assert len(curve.rates) < 120, "and no further"
    assert len(curve.losses) == len(curve.smoothed) == len(curve.rates)
    after = (line.network.state_dict(), line.optimiser.state_dict())
    assert torch.equal(after[0]["weight"], before[0]["weight"])
    assert after[1] == before[1]
    path = tmp_path / "plots" / "rate.png"
    save_plot(curve, path)
    image = cv2.imread(str(path))
    assert image is not None
    assert image.shape == (460, 1000, 3)
    # The suggestion's line is where its rate is on the logarithmic axis.
    share = np.log(curve.suggestion / curve.rates[0]) / np.log(curve.rates[-1] / curve.rates[0])
    column = round(80 + share * (1000 - 110))
    blue, _, red = image[380, column].tolist()
    assert red > 180
    assert blue < 80
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="plot not written"):
        save_plot(curve, tmp_path / "file" / "rate.png")


def test_searches_without_meaning() -> None:
    line = Line()
    with pytest.raises(InvalidInput, match="0 < lowest < highest"):
        find_learning_rate(line.network, line.optimiser, line.step, lowest=1.0, highest=0.1)
    with pytest.raises(InvalidInput, match="steps: got 5"):
        find_learning_rate(line.network, line.optimiser, line.step, steps=5)
    with pytest.raises(EngineError, match="not finite from a learning rate of 1e-06 on"):
        find_learning_rate(line.network, line.optimiser, lambda: float("nan"))
