"""What was run so far: `study.json` in the output folder, rewritten whole after every change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from crossfuse.errors import InvalidInput
from crossfuse.images import write_file
from crossfuse_training.ablation.expansion import Factors, PlannedRun
from crossfuse_training.ablation.settings import words
from crossfuse_training.runs.file_names import HELD_OUT_NAME, RECIPE_NAME, RUN_NAME

RECORD_NAME = "study.json"
SCHEMA = 1

Status = Literal["missing", "running", "done", "failed"]


@dataclass
class RunRecord:
    """One run; `status` running without a process at work is a run that was interrupted."""

    recipe_sha256: str
    words: list[str]
    status: Status
    attempts: int
    seconds: float
    """Over all attempts."""
    error: str | None = None


@dataclass
class Record:
    """The state of a study in its output folder."""

    study: str
    output: Path
    runs: dict[str, RunRecord] = field(default_factory=dict)
    winners: dict[int, list[dict[str, Any]]] = field(default_factory=dict)
    """By phase that varies them. Fixed when that phase begins, so that a run of the phase before
    that is repeated later changes no plan."""

    def folder(self, run_id: str) -> Path:
        """The run folder."""
        return self.output / "runs" / run_id

    def log(self, run_id: str) -> Path:
        """What the run's process printed."""
        return self.output / "logs" / f"{run_id}.log"

    def status(self, run: PlannedRun) -> Status:
        """A run counts as done when its folder says so, whatever happened to us in between."""
        entry = self.runs.get(run.id)
        if entry is None:
            return "missing"
        folder = self.folder(run.id)
        if entry.status != "failed" and _is_done(folder):
            return "done"
        return "missing" if entry.status == "done" else entry.status

    def begin(self, run: PlannedRun) -> RunRecord:
        """Note that a process starts."""
        entry = self.runs.get(run.id) or RunRecord("", [], "running", 0, 0.0)
        entry.recipe_sha256, entry.words = _sha256(run.recipe), words(run.settings)
        entry.status, entry.error = "running", None
        entry.attempts += 1
        self.runs[run.id] = entry
        self.save()
        return entry

    def fix_winners(self, phase: int, factors: Sequence[Factors]) -> None:
        """Note what a phase varies."""
        self.winners[phase] = [dict(each) for each in factors]
        self.save()

    def check_unchanged(self, run: PlannedRun) -> None:
        """Refuse to mix runs of one id that were trained differently."""
        entry = self.runs.get(run.id)
        if entry is None or not (self.folder(run.id) / RECIPE_NAME).exists():
            return
        changed = sorted(set(entry.words) ^ set(words(run.settings)))
        if entry.recipe_sha256 != _sha256(run.recipe):
            changed.append(f"the content of {run.recipe}")
        if changed:
            raise InvalidInput(
                f"run {run.id}",
                f"other settings than those it was begun with: {', '.join(changed)}",
                f"the same settings, another --output, or {self.folder(run.id)} removed",
            )

    def save(self) -> None:
        """All of it or what was there before."""
        content = {
            "schema": SCHEMA,
            "study": self.study,
            "winners": {str(phase): factors for phase, factors in self.winners.items()},
            "runs": {name: asdict(entry) for name, entry in self.runs.items()},
        }
        write_file(self.output / RECORD_NAME, f"{json.dumps(content, indent=1)}\n".encode())


def read_record(study: str, output: Path) -> Record:
    """The record of an output folder; an empty one where nothing was run."""
    path = output / RECORD_NAME
    if not path.exists():
        return Record(study, output)
    try:
        content: Mapping[str, Any] = json.loads(path.read_bytes())
        if content["schema"] != SCHEMA:
            raise ValueError(f"schema {content['schema']}, not {SCHEMA}")
        runs = {name: RunRecord(**entry) for name, entry in content["runs"].items()}
        winners = {int(phase): factors for phase, factors in content["winners"].items()}
        owner = content["study"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInput(
            str(path), f"{type(error).__name__}: {error}", "a record that `crossfuse ablate` wrote"
        ) from None
    if owner != study:
        raise InvalidInput("--output", f"{output}, of study {owner!r}", f"a folder for {study!r}")
    return Record(study, output, runs, winners)


def _is_done(folder: Path) -> bool:
    try:
        info = json.loads((folder / RUN_NAME).read_bytes())
    except (OSError, ValueError):
        return False
    return info.get("status") == "done" and (folder / HELD_OUT_NAME).is_file()


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
