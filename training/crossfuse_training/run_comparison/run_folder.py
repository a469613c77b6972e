"""What a run folder of `crossfuse train` holds, as far as results are concerned."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crossfuse.errors import InvalidInput
from crossfuse_training.run_comparison.metric_names import check_metric
from crossfuse_training.run_comparison.run_log import Curve, read_curves
from crossfuse_training.runs.file_names import HELD_OUT_NAME, LOG_NAME, RECIPE_NAME, RUN_NAME

PerImage = Mapping[str, Mapping[str, float | None]]
"""By picture, `set/stem`, and metric; None where a metric is undefined."""


@dataclass(frozen=True, eq=False)
class Run:
    """A finished run."""

    name: str
    """The folder's, or as much of the path as tells it from the other runs."""
    path: Path
    info: Mapping[str, Any]
    """run.json"""
    recipe: Mapping[str, Any]
    per_image: PerImage
    curves: Mapping[str, Curve]

    @property
    def metrics(self) -> list[str]:
        """Measured on the held-out pictures, in the order of the file."""
        return list(dict.fromkeys(name for values in self.per_image.values() for name in values))

    @property
    def held_out_hashes(self) -> dict[str, str]:
        """By data set: the hash of what was held out."""
        return {
            str(entry["set"]): str(entry["sha256"])
            for entry in self.info.get("data", ())
            if entry.get("split") == "held-out"
        }


def read_runs(paths: Sequence[Path]) -> list[Run]:
    """Finished runs, each with a name of its own."""
    resolved = [path.resolve() for path in paths]
    for number, path in enumerate(resolved):
        if path in resolved[:number]:
            raise InvalidInput("RUN", f"{paths[number]} twice", "each run once")
    parts = 1
    while True:
        names = ["/".join(path.parts[-parts:]) for path in resolved]
        if len(set(names)) == len(names):
            break
        parts += 1
    return [replace(read_run(path), name=name) for path, name in zip(paths, names, strict=True)]


def read_run(path: Path) -> Run:
    """A run that trained to its end and measured its held-out pictures."""
    info = _read_json(path / RUN_NAME, "a run folder, written by `crossfuse train`")
    if not (path / HELD_OUT_NAME).is_file():
        raise InvalidInput(
            f"run {path}",
            f"status {info.get('status')!r} and no {HELD_OUT_NAME}",
            "a run that is done",
        )
    held_out = _read_json(path / HELD_OUT_NAME, "what the end of a run measured")
    per_image = held_out.get("per_image")
    if not isinstance(per_image, dict) or not per_image:
        raise InvalidInput(
            str(path / HELD_OUT_NAME), "no per_image", "values of at least one held-out picture"
        )
    recipe_path = path / RECIPE_NAME
    try:
        recipe = tomllib.loads(recipe_path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(str(recipe_path), str(error.strerror), "the recipe of a run") from None
    except ValueError as error:
        raise InvalidInput(str(recipe_path), f"no TOML ({error})", "the recipe of a run") from None
    run = Run(path.resolve().name, path, info, recipe, per_image, read_curves(path / LOG_NAME))
    for metric in run.metrics:
        check_metric(str(path / HELD_OUT_NAME), metric)
    return run


def _read_json(path: Path, valid: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise InvalidInput(str(path), str(error.strerror), valid) from None
    except ValueError as error:
        raise InvalidInput(str(path), f"no JSON ({error})", valid) from None
    if not isinstance(content, dict):
        raise InvalidInput(str(path), type(content).__name__, "a JSON object")
    return content
