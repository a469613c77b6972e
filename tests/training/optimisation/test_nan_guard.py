"""What is kept, and said, when numbers are no longer finite."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from crossfuse.errors import EngineError, OutputError
from crossfuse_training.losses import L1Term, Losses, LossInputs, LossValue, SsimTerm
from crossfuse_training.losses.config import LossConfig
from crossfuse_training.optimisation import NanGuard


@pytest.fixture
def inputs() -> LossInputs:
    ir, vis, fused = 255 * torch.rand(3, 2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    return LossInputs(fused.requires_grad_(), ir, vis, ir)


def value_of(inputs: LossInputs) -> LossValue:
    config = LossConfig(l1=L1Term(weight=1.0), ssim=SsimTerm(weight=1.0))
    return Losses(config)(inputs, progress=0)


def test_finite_numbers_pass(tmp_path: Path, inputs: LossInputs) -> None:
    guard = NanGuard(tmp_path / "run")
    guard.check_loss(1, value_of(inputs), inputs)
    guard.check_gradient(1, 3.0, value_of(inputs), inputs)
    assert not (tmp_path / "run").exists()


def test_the_batch_of_a_loss_that_is_nan_can_be_looked_at(
    tmp_path: Path, inputs: LossInputs
) -> None:
    with torch.no_grad():
        inputs.fused[1, 0, 3, 4] = math.nan
    with pytest.raises(EngineError, match=r"step 120: the loss \(ssim, l1\) is not") as caught:
        NanGuard(tmp_path / "run").check_loss(120, value_of(inputs), inputs)
    assert caught.value.exit_code == 1
    path = tmp_path / "run" / "not-finite-step-000120.npz"
    assert str(path) in str(caught.value)
    with np.load(path) as kept:
        assert set(kept) == {"ir", "vis", "background", "fused", "record"}
        for name in ("ir", "vis", "background", "fused"):
            picture = getattr(inputs, name).detach().numpy()
            assert kept[name].dtype == np.float32
            assert np.array_equal(kept[name], picture, equal_nan=True)
        record = json.loads(str(kept["record"]))
    assert record["step"] == 120
    assert math.isnan(record["parts"]["l1"])


def test_a_gradient_that_is_not_finite(tmp_path: Path, inputs: LossInputs) -> None:
    value = value_of(inputs)
    with pytest.raises(EngineError, match="step 7: the gradient is not finite"):
        NanGuard(tmp_path).check_gradient(7, math.inf, value, inputs)
    with np.load(tmp_path / "not-finite-step-000007.npz") as kept:
        record = json.loads(str(kept["record"]))
    assert record["gradient_norm"] == math.inf
    assert record["parts"]["ssim"] == pytest.approx(value.parts["ssim"].item())


def test_a_scaled_loss_may_skip_steps_but_not_for_ever(tmp_path: Path, inputs: LossInputs) -> None:
    guard, value = NanGuard(tmp_path, scaled=True), value_of(inputs)
    for step in range(20):
        guard.check_gradient(step, math.inf, value, inputs)
    guard.check_gradient(20, 1.0, value, inputs)
    for step in range(21, 41):
        guard.check_gradient(step, math.nan, value, inputs)
    with pytest.raises(EngineError, match="step 41"):
        guard.check_gradient(41, math.inf, value, inputs)


def test_a_file_that_cannot_be_written_is_said_too(tmp_path: Path, inputs: LossInputs) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match=r"the gradient is not finite, and .* not be written"):
        NanGuard(tmp_path / "file").check_gradient(7, math.inf, value_of(inputs), inputs)
