"""The folder of a run: what is where in it, how one is begun, and how one is taken up again."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from crossfuse.errors import InvalidInput, OutputError
from crossfuse.images import write_file
from crossfuse_training.data import ListedPair
from crossfuse_training.recipe import Recipe, differences, read_recipe
from crossfuse_training.recipe_reader import as_table
from crossfuse_training.runs.file_names import (
    BEST_NAME,
    CHECKPOINTS_NAME,
    DATA_NAME,
    HELD_OUT_NAME,
    LOG_NAME,
    RECIPE_NAME,
    RUN_NAME,
)
from crossfuse_training.runs.metrics_log import MetricsLog, finite
from crossfuse_training.toml_text import to_toml

SCHEMA = 1
_LINES_IN_MESSAGE = 6


class RunFolder:
    """Paths of a run, and its record run.json."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe = path / RECIPE_NAME
        self.record = path / RUN_NAME
        self.data = path / DATA_NAME
        self.metrics = MetricsLog(path / LOG_NAME)
        self.held_out = path / HELD_OUT_NAME
        self.events = path / "events"
        self.previews = path / "previews"
        self.checkpoints = path / CHECKPOINTS_NAME
        self.state = path / "state"
        self.needs = path / "needs"

    @property
    def best(self) -> Path:
        """The checkpoint with the best validation."""
        return self.checkpoints / BEST_NAME

    @property
    def last(self) -> Path:
        """The newest checkpoint."""
        return self.checkpoints / "last"

    def check(self, recipe: Recipe, *, resume: bool) -> None:
        """Refuse a folder that holds a run, but to resume it by its own recipe, or other files."""
        if self.record.is_file():
            if not resume:
                raise InvalidInput(
                    "output", f"{self.path}, which holds a run", "a new folder, or --resume"
                )
            self._check_recipe(recipe)
            return
        # What was refused after its folder was made, such as too large a crop, was no run yet.
        folders = {self.events, self.previews, self.checkpoints, self.state, self.needs}
        own = {self.recipe, self.data, *folders}
        if self.path.is_dir() and set(self.path.iterdir()) - own:
            raise InvalidInput(
                "output", f"{self.path}, which holds other files", "a new or an empty folder"
            )

    def begin(self, recipe: Recipe) -> None:
        """Make the folder, or enter it again; checked before."""
        try:
            for folder in (self.events, self.previews, self.checkpoints, self.state):
                folder.mkdir(parents=True, exist_ok=True)
                for leftover in folder.glob(".*.tmp"):
                    leftover.unlink()
        except OSError as error:
            raise OutputError(f"{error.filename}: {error.strerror}") from error
        if not self.record.is_file():
            header = f"# The resolved recipe of the run {recipe.name}: every number spelt out.\n\n"
            write_file(self.recipe, (header + to_toml(as_table(recipe))).encode())

    def write_record(self, record: dict[str, Any]) -> None:
        """Replace run.json."""
        self._write_json(self.record, {"schema": SCHEMA, **record})

    def read_record(self) -> dict[str, Any]:
        """run.json, or nothing where there is none yet."""
        if not self.record.is_file():
            return {}
        content: dict[str, Any] = json.loads(self.record.read_text(encoding="utf-8"))
        return content

    def write_data(self, pairs: Sequence[ListedPair]) -> None:
        """Replace data.csv: every pair with its hash."""
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(["set", "split", "stem", "sha256"])
        rows.writerows([pair.set, pair.split, pair.stem, pair.sha256] for pair in pairs)
        write_file(self.data, text.getvalue().encode())

    def write_held_out(self, content: dict[str, Any]) -> None:
        """Replace held_out.json."""
        self._write_json(self.held_out, content)

    def forget_later_files(self, step: int) -> None:
        """Drop what a killed run wrote after the step that it is resumed from."""
        if step == 0:
            self.metrics.path.unlink(missing_ok=True)
            shutil.rmtree(self.checkpoints)
            self.checkpoints.mkdir()
        self.metrics.cut_after(step)
        for preview in self.previews.glob("step-*.png"):
            if int(preview.stem.removeprefix("step-")) > step:
                preview.unlink()

    def _check_recipe(self, recipe: Recipe) -> None:
        changes = differences(read_recipe(self.recipe), recipe)
        if changes:
            more = len(changes) - _LINES_IN_MESSAGE
            shown = "; ".join(changes[:_LINES_IN_MESSAGE]) + (f"; {more} more" if more > 0 else "")
            raise InvalidInput(
                "--resume", f"another recipe than {self.path} began with ({shown})", "the same one"
            )

    def _write_json(self, path: Path, content: dict[str, Any]) -> None:
        write_file(path, (json.dumps(finite(content), indent=2) + "\n").encode())
