"""Trains a student directly on pairs of pictures, without a teacher.

    CROSSFUSE_DATA=DIR python -m crossfuse_training.train_student \
        --config training/configs/student-rt-first.toml

reads the pairs below DIR (FOLDER/ir and FOLDER/vis for each data set that the recipe names) and
writes OUTPUT/checkpoint and OUTPUT/log.csv, by default below runs/ under the recipe's name.
Progress goes to stderr. Every 10th pair of each set is held out and measured at the end.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crossfuse.errors import CrossFuseError, InvalidInput, UnknownName
from crossfuse_training.checkpoint import HeldOut, TrainingRecord, git_commit, save
from crossfuse_training.losses import LossConfig, fusion_loss, mean_ssim
from crossfuse_training.networks.registry import build
from crossfuse_training.pairs import (
    Pair,
    PairFiles,
    as_tensor,
    find_pairs,
    random_batch,
    read_pair,
    split,
)

_PARTS = ("intensity", "base", "gradient", "structure")
_REPORT_EVERY = 50
_WARM_UP = 0.05
"""Share of the steps in which the learning rate rises."""

Splits = Mapping[str, tuple[list[PairFiles], list[PairFiles]]]
"""Per data set, the pairs to train on and the pairs held out."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class DataSet:
    """A data set: a folder of pairs, and under what terms it may be used."""

    name: str
    """The folder's name below the data root."""
    licence: str


@dataclass(frozen=True)
class Recipe:
    """Everything a run depends on besides the pictures; read from a TOML file, all keys needed."""

    variant: str
    """A name of the registry."""
    options: Mapping[str, Any]
    """Numbers of the variant that are replaced; may be empty."""
    data: tuple[DataSet, ...]
    seed: int
    steps: int
    batch: int
    crop: int
    """Side of the cuts in pixels; up to 3 more are added at random."""
    misalign_share: float
    """Share of the cuts with a shifted infrared picture, from 0 to 1."""
    misalign_pixels: int
    """Largest shift in each direction."""
    learning_rate: float
    """Peak of the one-cycle schedule: a short rise, then a cosine to nearly 0."""
    weight_decay: float
    clip_gradient: float
    """Largest norm of the gradient."""
    threads: int
    """Processor threads of torch."""
    loss: LossConfig

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "threads"):
            if getattr(self, name) < 1:
                raise InvalidInput(name, repr(getattr(self, name)), "1 or more")
        if self.crop < 32:
            raise InvalidInput("crop", repr(self.crop), "32 or more")
        if not 0 <= self.misalign_share <= 1:
            raise InvalidInput("misalign_share", repr(self.misalign_share), "0 to 1")
        if not self.data:
            raise InvalidInput("data", "no data set", "one [[data]] table for each data set")


def read_recipe(path: Path) -> Recipe:
    """The recipe of a TOML file; unknown and missing keys are refused by name."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput("config", f"{path} ({error.strerror})", "a recipe in TOML") from None
    except ValueError as error:
        raise InvalidInput(str(path), f"no TOML ({error})", "a recipe in TOML") from None
    _check_keys(str(path), content, Recipe)
    _check_keys(f"{path} [loss]", content["loss"], LossConfig)
    for entry in content["data"]:
        _check_keys(f"{path} [[data]]", entry, DataSet)
    content["loss"] = LossConfig(**content["loss"])
    content["data"] = tuple(DataSet(**entry) for entry in content["data"])
    return Recipe(**content)


def train(recipe: Recipe, name: str, data: Path, output: Path) -> list[float]:
    """Train and write `output/checkpoint` and `output/log.csv`; the loss of every step."""
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    generator = np.random.default_rng(recipe.seed)
    splits = {source.name: split(find_pairs(data / source.name)) for source in recipe.data}
    pairs = [read_pair(files) for training, _ in splits.values() for files in training]
    network = build(recipe.variant, **recipe.options).train()
    optimiser = torch.optim.AdamW(
        network.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, recipe.learning_rate, total_steps=recipe.steps, pct_start=_WARM_UP
    )
    losses: list[float] = []
    output.mkdir(parents=True, exist_ok=True)
    with (output / "log.csv").open("w", newline="", encoding="utf-8") as file:
        log = csv.writer(file)
        log.writerow(["step", "seconds", "loss", *_PARTS])
        started = time.monotonic()
        for step in range(1, recipe.steps + 1):
            ir, luma, background = random_batch(
                pairs,
                generator,
                batch=recipe.batch,
                crop=recipe.crop,
                misalign_share=recipe.misalign_share,
                misalign_pixels=recipe.misalign_pixels,
            )
            loss, parts = fusion_loss(network(ir, luma), ir, luma, background, recipe.loss)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), recipe.clip_gradient)
            optimiser.step()
            schedule.step()
            losses.append(loss.item())
            seconds = time.monotonic() - started
            log.writerow([step, f"{seconds:.1f}", losses[-1], *(parts[p].item() for p in _PARTS)])
            if step % _REPORT_EVERY == 0 or step == recipe.steps:
                recent = float(np.mean(losses[-_REPORT_EVERY:]))
                _log.info("step %d of %d: loss %.3f, %.0f s", step, recipe.steps, recent, seconds)
    record = _record(recipe, name, splits, network.eval())
    save(output / "checkpoint", network, variant=recipe.variant, training=record)
    return losses


def _record(recipe: Recipe, name: str, splits: Splits, network: nn.Module) -> TrainingRecord:
    """What the checkpoint says of the run, with the measures of the held-out pairs."""
    data, held_out = [], []
    for source in recipe.data:
        training, kept = splits[source.name]
        use = f"{len(training)} pairs trained on; every 10th by stem, {len(kept)} pairs, held out"
        data.append({"name": source.name, "licence": source.licence, "split": use})
        if kept:
            metrics = evaluate(network, [read_pair(files) for files in kept])
            held_out.append(HeldOut(f"{len(kept)} held-out pairs of {source.name}", metrics))
    options = {key: value for key, value in asdict(recipe).items() if key != "data"}
    return TrainingRecord(name, options, tuple(data), git_commit(), tuple(held_out))


@torch.no_grad()
def evaluate(network: nn.Module, pairs: Sequence[Pair]) -> dict[str, float]:
    """Means over whole pictures: SSIM (Gaussian, mean of both sources) and SCD, on luma."""
    rows = []
    for pair in pairs:
        ir, luma = as_tensor(pair.ir)[None, None], as_tensor(pair.luma)[None, None]
        fused = network(ir, luma).round()
        rows.append((float(mean_ssim(fused, ir, luma)), _scd(fused, ir, luma)))
    ssim, scd = np.mean(rows, axis=0)
    return {"SSIM": float(ssim), "SCD": float(scd)}


def _scd(fused: Tensor, ir: Tensor, luma: Tensor) -> float:
    """Sum of the correlations of differences: what each picture adds is found in the result."""

    def correlation(a: Tensor, b: Tensor) -> float:
        return float(torch.corrcoef(torch.stack([a.flatten(), b.flatten()]))[0, 1])

    return correlation(fused - luma, ir) + correlation(fused - ir, luma)


_TOML_KINDS: Mapping[Any, type[Any] | tuple[type[Any], ...]] = {
    "int": int,
    "float": (int, float),
    "str": str,
    "Mapping[str, Any]": dict,
    "LossConfig": dict,
    "tuple[DataSet, ...]": list,
}


def _check_keys(source: str, content: Mapping[str, Any], kind: type[Any]) -> None:
    """Refuse keys that are unknown or missing, and values of another kind than the field's."""
    valid = {field.name: field.type for field in fields(kind)}
    for key, value in content.items():
        if key not in valid:
            raise UnknownName(f"{source}: key", key, valid)
        if not isinstance(value, _TOML_KINDS[valid[key]]) or isinstance(value, bool):
            raise InvalidInput(f"{source}: {key}", repr(value), str(valid[key]))
    missing = [key for key in valid if key not in content]
    if missing:
        raise InvalidInput(source, f"no {', '.join(missing)}", f"all of {', '.join(valid)}")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Train a student directly on pairs of pictures.")
    parser.add_argument("--config", type=Path, required=True, help="the recipe, a TOML file")
    parser.add_argument("--output", type=Path, help="folder to write (default runs/RECIPE)")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    data = Path(os.environ.get("CROSSFUSE_DATA", "../shared/data"))
    name = given.config.stem
    try:
        train(read_recipe(given.config), name, data, given.output or Path("runs") / name)
    except CrossFuseError as error:
        _log.error("%s", error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
