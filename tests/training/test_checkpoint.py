"""Checkpoints: what is written comes back, and damaged ones are refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_training.checkpoint import (
    HeldOut,
    TrainingRecord,
    git_commit,
    load,
    read_record,
    save,
)

RECORD = TrainingRecord(
    recipe="a test",
    options={"seed": 3, "loss": {"base": 1.0}},
    data=({"name": "night", "licence": "ours", "split": "all"},),
    git_commit=git_commit(),
    held_out=(HeldOut("two pairs", {"SSIM": 0.5}),),
)


@pytest.fixture
def checkpoint(tiny_student: nn.Module, tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    save(folder, tiny_student, variant="rt", training=RECORD)
    return folder


def test_round_trip(checkpoint: Path, tiny_student: nn.Module) -> None:
    restored = load(checkpoint)
    assert not restored.training
    assert restored.config == tiny_student.config
    for name, tensor in tiny_student.state_dict().items():
        assert torch.equal(restored.state_dict()[name], tensor), name
    record = read_record(checkpoint)
    assert record.training == RECORD
    assert (record.architecture, record.variant, record.head) == ("student", "rt", "bounded")


def test_saving_again_replaces_all(checkpoint: Path, tiny_student: nn.Module) -> None:
    with torch.no_grad():
        tiny_student.get_parameter("offset.bias").add_(1)
    save(checkpoint, tiny_student, variant="rt", training=RECORD)
    restored = load(checkpoint).get_parameter("offset.bias")
    assert torch.equal(restored, tiny_student.get_parameter("offset.bias"))
    assert sorted(path.name for path in checkpoint.parent.iterdir()) == ["checkpoint"]


def test_a_folder_with_other_things_is_left_alone(tiny_student: nn.Module, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(InvalidInput, match=r"which holds thesis\.txt"):
        save(tmp_path, tiny_student, variant="rt", training=RECORD)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("offset.bias", lambda _: None, "offset.bias: got no such tensor"),
        ("surplus", lambda _: torch.zeros(2), "surplus: got a tensor"),
        ("offset.bias", lambda tensor: tensor[:3].clone(), r"offset.bias: .*shape \(3,\)"),
        ("offset.bias", lambda tensor: tensor.double(), "offset.bias: .*float64"),
        ("offset.bias", lambda tensor: tensor / 0, "offset.bias: .*not finite"),
    ],
    ids=["missing", "extra", "misshaped", "mistyped", "not-finite"],
)
def test_wrong_tensors_are_refused_by_name(
    checkpoint: Path,
    name: str,
    change: Callable[[Any], Tensor | None],
    message: str,
) -> None:
    weights = load_file(checkpoint / "weights.safetensors")
    changed = change(weights.pop(name, None))
    if changed is not None:
        weights[name] = changed
    save_file(weights, checkpoint / "weights.safetensors")
    with pytest.raises(InvalidInput, match=message):
        load(checkpoint)


def test_weights_of_another_run_are_refused(checkpoint: Path) -> None:
    weights = load_file(checkpoint / "weights.safetensors")
    weights["offset.bias"] += 1
    save_file(weights, checkpoint / "weights.safetensors")
    with pytest.raises(InvalidInput, match="sha256"):
        load(checkpoint)


def test_truncated_weights(checkpoint: Path) -> None:
    path = checkpoint / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InvalidInput, match="no safetensors file"):
        load(checkpoint)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"architecture": "studnet"}, UnknownName, "did you mean 'student'"),
        ({"schema": 2}, InvalidInput, "another schema"),
        ({"training": None}, InvalidInput, "a damaged record"),
        ({"config": {"head": "bounded"}}, InvalidInput, "missing .*quarter_channels"),
    ],
)
def test_wrong_records(
    checkpoint: Path, change: dict[str, object], error: type[Exception], message: str
) -> None:
    path = checkpoint / "checkpoint.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(error, match=message):
        load(checkpoint)


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"valid: a folder with weights\.safetensors"):
        load(tmp_path / "nowhere")
    (tmp_path / "checkpoint.json").write_text("{")
    with pytest.raises(InvalidInput, match="no readable JSON"):
        load(tmp_path)
