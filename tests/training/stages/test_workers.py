"""Several processes, and machines: each its rows of the batch, all the same weights."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from crossfuse.errors import InvalidInput
from crossfuse_training.checkpoint import load
from crossfuse_training.recipe import Recipe
from crossfuse_training.stages import train
from crossfuse_training.stages.workers import Workers

Tiny = Callable[..., Recipe]
MEAN_TOLERANCE, LARGEST_TOLERANCE = 1e-4, 5e-3
"""Of the weights, after 8 steps at a rate of 1e-3. Sums are rounded in another order, and Adam
makes whole steps of gradients that are nothing but rounding, such as those of biases before a
batch norm. Measured: 1.6e-5 and 1.2e-3; with statistics of each process's own, 8e-4 and 0.4."""


def weights(run: Path) -> dict[str, Tensor]:
    return load(run / "checkpoints" / "last").state_dict()


def test_two_processes_reach_the_weights_of_one(
    tmp_path: Path, smoke: Path, quick: tuple[str, ...], tiny: Tiny
) -> None:
    """A network with batch norms: their statistics are those of the global batch."""
    words = ["steps=8", "batch=4", "network.frozen=[]", "schedule.kind=constant",
             "optimiser.learning_rate=0.001",
             "loss={l1={weight=1.0},ssim={weight=50.0}}"]  # fmt: skip
    together = tmp_path / "together"
    answer = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2",
         "-m", "crossfuse", "train", "end-to-end", "--config", str(smoke / "end-to-end.toml"),
         "--output", str(together), "--json", *quick, *words],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["steps"] == 8, "one process speaks for both"
    assert json.loads((together / "run.json").read_text())["environment"]["processes"] == 2
    recipe = tiny("end-to-end", *words)
    assert any("running_mean" in name for name in weights(together))
    train(recipe, tmp_path / "alone", data_root=None)
    alone = weights(tmp_path / "alone")
    differences = torch.cat(
        [
            (weight.double() - alone[name].double()).abs().flatten()
            for name, weight in weights(together).items()
        ]
    )
    assert float(differences.mean()) < MEAN_TOLERANCE
    assert float(differences.max()) < LARGEST_TOLERANCE
    lines = [
        [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        for run in (together, tmp_path / "alone")
    ]
    for mine, theirs in zip(*lines, strict=True):
        key = "total" if mine["kind"] == "train" else "loss"
        assert mine[key] == pytest.approx(theirs[key], rel=1e-4)


def test_rows_are_shared_out_whole() -> None:
    device = torch.device("cpu")
    rows = [Workers(rank, 3, device).rows(12) for rank in range(3)]
    assert [list(range(12))[part] for part in rows] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    with pytest.raises(InvalidInput, match="batch: got 10; valid: a multiple of the 3 processes"):
        Workers(0, 3, device).rows(10)


def test_a_machine_without_the_shared_folder_says_so(
    tmp_path: Path, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first process resumed at step 4; this one sees no state, and would wait forever."""

    def from_first(_: Workers, value: Any) -> Any:
        return 4 if value == 0 else value

    monkeypatch.setattr(Workers, "from_first", from_first)
    message = "output: got .*run at step 0, and the first process is at step 4; valid: one folder"
    with pytest.raises(InvalidInput, match=message):
        train(tiny("end-to-end"), tmp_path / "run", data_root=None)
