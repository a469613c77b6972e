"""A checkpoint: a folder with the weights of a network and everything needed to build it again.

weights.safetensors    the state dict, named as the network names it
checkpoint.json        architecture, variant, every number of the configuration, training record
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from crossfuse.errors import InvalidInput, OutputError
from crossfuse_training.networks.registry import architecture_of, from_config

WEIGHTS_NAME = "weights.safetensors"
RECORD_NAME = "checkpoint.json"
SCHEMA_VERSION = 1
UNKNOWN_COMMIT = "0000000"
"""Stands for the commit where the code is not in a git repository, or in one without commits."""


@dataclass(frozen=True)
class HeldOut:
    """What was measured on pictures that were kept out of training."""

    pictures: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class TrainingRecord:
    """How the weights came to be."""

    recipe: str
    """The recipe's name, or where imported weights come from."""
    options: Mapping[str, Any]
    """Every option of the run, the seed among them."""
    data: tuple[Mapping[str, str], ...]
    """Per data set: name, licence, split."""
    git_commit: str
    held_out: tuple[HeldOut, ...] = ()


@dataclass(frozen=True)
class CheckpointRecord:
    """The content of checkpoint.json."""

    architecture: str
    variant: str
    config: Mapping[str, Any]
    head: str
    weights_sha256: str
    training: TrainingRecord
    schema: int = field(default=SCHEMA_VERSION)


def save(folder: Path, network: nn.Module, *, variant: str, training: TrainingRecord) -> None:
    """Write the checkpoint so that `folder` holds all of it, or what it held before."""
    foreign = [
        entry.name
        for entry in (folder.iterdir() if folder.is_dir() else ())
        if entry.name not in (WEIGHTS_NAME, RECORD_NAME)
    ]
    if foreign:
        raise InvalidInput(
            "checkpoint", f"{folder}, which holds {foreign[0]}", "a new folder or a checkpoint"
        )
    config: Any = network.config
    fresh, old = folder.with_name(f".{folder.name}.new"), _set_aside(folder)
    try:
        if not folder.exists() and old.exists():
            old.rename(folder)
        for leftover in (fresh, old):
            shutil.rmtree(leftover, ignore_errors=True)
        fresh.mkdir(parents=True)
        weights = {name: value.contiguous() for name, value in network.state_dict().items()}
        (fresh / WEIGHTS_NAME).write_bytes(to_bytes(weights))
        record = CheckpointRecord(
            architecture=architecture_of(network),
            variant=variant,
            config=asdict(config),
            head=config.head,
            weights_sha256=_sha256(fresh / WEIGHTS_NAME),
            training=training,
        )
        (fresh / RECORD_NAME).write_text(
            json.dumps(asdict(record), indent=2) + "\n", encoding="utf-8"
        )
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{folder}: checkpoint not written: {error}") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def read_record(folder: Path) -> CheckpointRecord:
    """What checkpoint.json says."""
    path = _present(folder) / RECORD_NAME
    valid = f"a folder with {WEIGHTS_NAME} and {RECORD_NAME}"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput("checkpoint", f"{folder} ({error.strerror})", valid) from None
    except ValueError as error:
        raise InvalidInput(str(path), f"no readable JSON ({error})", valid) from None
    if not isinstance(content, dict) or content.get("schema") != SCHEMA_VERSION:
        raise InvalidInput(str(path), "another schema", f"a record of schema {SCHEMA_VERSION}")
    try:
        training = dict(content.pop("training"))
        held_out = tuple(HeldOut(**entry) for entry in training.pop("held_out"))
        data = tuple(training.pop("data"))
        return CheckpointRecord(
            **content, training=TrainingRecord(**training, data=data, held_out=held_out)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInput(str(path), f"a damaged record ({error})", valid) from None


def load(folder: Path) -> nn.Module:
    """The network of a checkpoint, in evaluation mode.

    A tensor that is missing, extra or of another shape or type is refused by its name.
    """
    record = read_record(folder)
    path = _present(folder) / WEIGHTS_NAME
    valid = "the weights that the checkpoint was written with"
    try:
        found = _sha256(path)
        weights = load_file(path)
    except OSError as error:
        raise InvalidInput(str(path), str(error.strerror), valid) from None
    except SafetensorError as error:
        raise InvalidInput(str(path), f"no safetensors file ({error})", valid) from None
    network = from_config(record.architecture, dict(record.config)).eval()
    _check_tensors(str(path), weights, network.state_dict())
    if found != record.weights_sha256:
        raise InvalidInput(str(path), f"sha256 {found}", f"sha256 {record.weights_sha256}")
    network.load_state_dict(weights)
    return network


def _set_aside(folder: Path) -> Path:
    """Where the checkpoint before is, for the moment in which the new one takes its place."""
    return folder.with_name(f".{folder.name}.old")


def _present(folder: Path) -> Path:
    """The folder, or what was set aside if saving was killed in that very moment."""
    return _set_aside(folder) if not folder.exists() and _set_aside(folder).exists() else folder


def git_commit() -> str:
    """The commit of the code that runs, `-dirty` when files differ from it."""
    git = shutil.which("git")
    if git is None:
        return UNKNOWN_COMMIT

    def ask(*arguments: str) -> str | None:
        answer = subprocess.run(  # noqa: S603  the arguments are ours
            [git, *arguments],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
        return answer.stdout.strip() if answer.returncode == 0 else None

    commit = ask("rev-parse", "HEAD")
    if commit is None:
        return UNKNOWN_COMMIT
    return f"{commit}-dirty" if ask("status", "--porcelain", "--untracked-files=no") else commit


def _check_tensors(
    source: str, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]
) -> None:
    for name, tensor in expected.items():
        wanted = f"{tensor.dtype} of shape {tuple(tensor.shape)}"
        if name not in weights:
            raise InvalidInput(f"{source}: {name}", "no such tensor", wanted)
        received = weights[name]
        if received.shape != tensor.shape or received.dtype != tensor.dtype:
            raise InvalidInput(
                f"{source}: {name}", f"{received.dtype} of shape {tuple(received.shape)}", wanted
            )
        if not bool(torch.isfinite(received).all()):
            raise InvalidInput(f"{source}: {name}", "values that are not finite", wanted)
    for name in weights:
        if name not in expected:
            raise InvalidInput(f"{source}: {name}", "a tensor", "no tensor of this name")


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
