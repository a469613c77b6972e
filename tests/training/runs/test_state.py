"""The state of a run: read back as it was written, and never lost to a failed write."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest
import torch

from crossfuse.errors import InvalidInput, OutputError
from crossfuse_training.runs.state import (
    STATE_NAME,
    TrainState,
    load_state,
    random_state,
    restore_random,
    save_state,
)


def state(step: int) -> TrainState:
    return TrainState(
        step=step,
        seconds=1.5,
        weights={"network": {"weight": torch.full((2, 3), float(step))}},
        optimiser={
            "state": {0: {"step": torch.tensor(float(step))}},
            "param_groups": [{"lr": 1.0}],
        },
        helpers={"ema": None, "losses": [{"total": 0.1}]},
        history=[3.0, 2.5],
        random=random_state(),
    )


def test_a_state_comes_back_as_it_was(tmp_path: Path) -> None:
    assert load_state(tmp_path) is None
    save_state(tmp_path, state(4))
    drawn = torch.rand(3)
    back = load_state(tmp_path)
    assert back is not None
    assert (back.step, back.history, back.helpers) == (4, [3.0, 2.5], state(4).helpers)
    assert torch.equal(back.weights["network"]["weight"], torch.full((2, 3), 4.0))
    restore_random(back.random)
    assert torch.equal(torch.rand(3), drawn)


def test_a_full_disk_keeps_the_state_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_state(tmp_path, state(4))

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match=r"a full disk"):
        save_state(tmp_path, state(8))
    kept = load_state(tmp_path)
    assert kept is not None
    assert kept.step == 4
    assert [path.name for path in tmp_path.iterdir()] == [STATE_NAME]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"\x80\x02cos\nsystem\n."])
def test_a_damaged_state_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STATE_NAME).write_bytes(content)
    with pytest.raises(InvalidInput, match="a damaged file"):
        load_state(tmp_path)
