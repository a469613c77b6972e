"""The pictures that int8 ranges are taken from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from crossfuse import synthetic
from crossfuse.arrays import UInt8Array
from crossfuse.errors import InvalidInput
from crossfuse_export.pictures import in_colour
from crossfuse_export.real_pairs import training_pairs
from crossfuse_training.data.layouts import Candidate

DATA_SETS = ("msrs", "roadscene")
"""Folders below CROSSFUSE_DATA that are used when no folder is named."""
PAIRS = 24
SYNTHETIC_SIZE = (480, 640)

Pair = tuple[UInt8Array, UInt8Array]
"""ir [H,W] and vis [H,W,3] RGB."""


@dataclass(frozen=True)
class Calibration:
    """Pairs of pictures, read one after the other, and what they are."""

    description: str
    files: tuple[Candidate, ...]
    """Empty stands for synthetic scenes."""

    def __iter__(self) -> Iterator[Pair]:
        if not self.files:
            yield from (synthetic.pair(seed, *SYNTHETIC_SIZE) for seed in range(PAIRS))
        for files in self.files:
            yield _read(files)


def calibration(folders: Sequence[Path], data: Path | None) -> Calibration:
    """The pairs of these folders (each with ir and vis), else of the data sets, else synthetic.

    Every 10th stem of a folder is left out, as in training; of the others 24 are taken, evenly.
    """
    chosen = list(folders)
    if not chosen and data is not None:
        chosen = [data / name for name in DATA_SETS if (data / name).is_dir()]
    if not chosen:
        height, width = SYNTHETIC_SIZE
        return Calibration(f"{PAIRS} synthetic scenes at {height}x{width}", ())
    pairs = [pair for folder in chosen for pair in training_pairs(folder)]
    spread = np.unique(np.linspace(0, len(pairs) - 1, PAIRS).astype(int))
    names = ", ".join(folder.name for folder in chosen)
    return Calibration(
        f"{len(spread)} training pairs of {names}", tuple(pairs[index] for index in spread)
    )


def _read(files: Candidate) -> Pair:
    found = files.source.read()
    if found.ir.shape != found.vis.shape[:2]:
        raise InvalidInput(
            f"vis of {files.stem}", f"shape {found.vis.shape}", f"{found.ir.shape}, the size of ir"
        )
    return found.ir, in_colour(found.vis)
