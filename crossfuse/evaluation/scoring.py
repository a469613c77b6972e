"""Runs an evaluation: every method on every picture, streamed into a CSV file and a table."""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import OutputError
from crossfuse.evaluation.methods import Method, baseline_methods, check_names
from crossfuse.evaluation.scenes import Scene, SceneReader
from crossfuse.evaluation.standings import Standings, compute_standings
from crossfuse.evaluation.table import Finding, Problem, ScoreTable
from crossfuse.metrics import Description, PairScores, Pictures, SourcePair, describe, score_pairs

CSV_NAME = "per_image.csv"


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was found; reports are written from this."""

    profile: str
    reader: SceneReader
    methods: list[Method]
    """Those asked for, then the baselines."""
    descriptions: list[Description]
    table: ScoreTable
    problems: list[Problem]
    """Sorted by image."""
    standings: Standings


def evaluate(
    reader: SceneReader,
    methods: Sequence[Method],
    output: Path,
    *,
    profile: str = "cddfuse",
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Score every method and the baselines, and write `per_image.csv` into `output`.

    Pictures that cannot be scored, and constant ones, become problems. A few scenes are in memory
    at a time; what stays is one number per picture, method and metric.
    """
    rows = [*methods, *baseline_methods()]
    check_names(rows)
    descriptions = describe(profile)
    # A stem without partner is there too: its missing files are found, and listed, by reading.
    fused = [method.stems for method in methods if method.stems is not None]
    images = sorted(reader.ir.stems.union(reader.vis.stems, *fused))
    table = ScoreTable(
        images, [method.name for method in rows], [metric.name for metric in descriptions]
    )
    findings: list[Finding] = []

    def load(image: str) -> Pictures:
        scene = reader.read(image)
        # Checked before anything is fused: sources of different size stop the whole scene.
        SourcePair(scene.ir, scene.vis)
        findings.extend(_constant(image, None, {"ir": scene.ir, "vis": scene.vis}))
        return Pictures(scene.ir, scene.vis, _FusedPictures(scene, rows, findings))

    results = score_pairs(images, load, profile=profile, workers=workers, progress=progress)
    with _csv_file(output / CSV_NAME) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["method", "image", *table.metrics])
        for row, scores in enumerate(results):
            findings.extend(table.add(row, scores))
            writer.writerows(_csv_rows(scores, table, row))
    standings = compute_standings(table, rows, descriptions)
    problems = table.problems(findings)
    return Evaluation(profile, reader, rows, descriptions, table, problems, standings)


class _FusedPictures(Mapping[str, NDArray[np.uint8]]):
    """Fuses or reads a picture when it is asked for, so that a failure is that method's alone."""

    def __init__(self, scene: Scene, methods: Sequence[Method], findings: list[Finding]) -> None:
        self._scene = scene
        self._methods = {method.name: method for method in methods}
        self._findings = findings

    def __getitem__(self, name: str) -> NDArray[np.uint8]:
        fused = self._methods[name].fuse(self._scene)
        self._findings.extend(_constant(self._scene.stem, name, {"fused": fused}))
        return fused

    def __iter__(self) -> Iterator[str]:
        return iter(self._methods)

    def __len__(self) -> int:
        return len(self._methods)


def _constant(
    image: str, method: str | None, pictures: Mapping[str, NDArray[np.uint8]]
) -> Iterator[Finding]:
    for field, pixels in pictures.items():
        if pixels.size and (pixels == pixels[0, 0]).all():
            colour = ", ".join(map(str, np.atleast_1d(pixels[0, 0]).tolist()))
            reason = f"{field}: got a constant picture (every pixel is {colour}); valid: a scene"
            yield Finding(image, method, reason)


def _csv_rows(scores: PairScores, table: ScoreTable, row: int) -> Iterator[list[str]]:
    """One row per scored method; an undefined value is an empty field."""
    for column, method in enumerate(table.methods):
        if method in scores.values:
            numbers = table.values[row, column].tolist()
            fields = ["" if np.isnan(number) else repr(number) for number in numbers]
            yield [method, scores.image, *fields]


@contextmanager
def _csv_file(path: Path) -> Iterator[TextIO]:
    """A text file that appears under its name when it is complete."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OutputError(
            f"{path}: could not be written: got {error.strerror}; "
            "valid: a path in an existing folder, with permission and space to write"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
