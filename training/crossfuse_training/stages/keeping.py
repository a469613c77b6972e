"""What a run keeps: checkpoints with their record, run.json, and its last measurement."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from torch import nn

from crossfuse_training.checkpoint import HeldOut, TrainingRecord, git_commit, save
from crossfuse_training.data import Data
from crossfuse_training.recipe import Recipe
from crossfuse_training.recipe_reader import as_table
from crossfuse_training.runs.environment import environment
from crossfuse_training.runs.folder import RunFolder
from crossfuse_training.stages.validation import Validation, means
from crossfuse_training.stages.workers import Workers


class Keeper:
    """Writes for the first process; the others keep nothing."""

    def __init__(self, recipe: Recipe, folder: RunFolder, data: Data, workers: Workers) -> None:
        self._recipe = recipe
        self._folder = folder
        self._data = data
        self._commit = git_commit()
        self._environment = environment(workers.device, workers.count)
        self._started = folder.read_record().get("started", _now())
        self._began = time.monotonic()
        self.seconds_before = 0.0

    @property
    def seconds(self) -> float:
        """Time of the run, over all its resumptions."""
        return self.seconds_before + time.monotonic() - self._began

    def record(
        self, status: str, step: int, best: Mapping[str, Any], error: str | None = None
    ) -> None:
        """Replace run.json."""
        self._folder.write_record(
            {
                "name": self._recipe.name,
                "stage": self._recipe.stage,
                "status": status,
                "git_commit": self._commit,
                "environment": self._environment,
                "started": self._started,
                "finished": None if status == "running" else _now(),
                "seconds": round(self.seconds, 3),
                "step": step,
                "steps": self._recipe.steps,
                "seed": self._recipe.seed,
                "data": [asdict(entry) for entry in self._data.summary()],
                "rejected": [
                    {"file": str(entry.file), "reason": entry.reason}
                    for entry in self._data.rejected
                ],
                "error": error,
                "best": dict(best) or None,
            }
        )

    def checkpoint(self, name: str, network: nn.Module, validation: Validation | None) -> None:
        """Replace the checkpoint `best` or `last`."""
        record = TrainingRecord(
            recipe=self._recipe.name,
            options=as_table(self._recipe),
            data=tuple(self._data_words()),
            git_commit=self._commit,
            held_out=tuple(_held_out(validation)) if validation else (),
        )
        variant = self._recipe.network.variant
        save(self._folder.checkpoints / name, network, variant=variant, training=record)

    def last_word(self, step: int, validation: Validation) -> None:
        """Write held_out.json: the best checkpoint on every held-out pair."""
        sets = [entry.set for entry in self._data.summary() if entry.split == "held-out"]
        self._folder.write_held_out(
            {
                "pictures": f"{len(self._data.held_out)} held-out pairs of {', '.join(sets)}",
                "checkpoint": "best",
                "step": step,
                "loss": validation.loss,
                "metrics": validation.metrics,
                "per_image": validation.per_image,
            }
        )

    def _data_words(self) -> list[Mapping[str, str]]:
        summary = self._data.summary()
        words: list[Mapping[str, str]] = []
        for source in self._data.sets:
            counts = {entry.split: entry.pairs for entry in summary if entry.set == source.name}
            use = (
                f"{counts.get('train', 0)} pairs trained on, {counts.get('held-out', 0)} held out "
                f"by {source.held_out_by}"
            )
            words.append({"name": source.name, "licence": source.licence, "split": use})
        return words


def _held_out(validation: Validation) -> list[HeldOut]:
    """One entry for each set; the names of pictures begin with that of their set."""
    by_set: dict[str, list[dict[str, float]]] = {}
    for name, scores in validation.per_image.items():
        by_set.setdefault(name.partition("/")[0], []).append(scores)
    return [
        HeldOut(f"{len(rows)} held-out pairs of {name}", means(rows))
        for name, rows in by_set.items()
    ]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
