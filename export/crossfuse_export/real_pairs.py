"""Pairs of real pictures in a folder with ir and vis, found and split as training does."""

from __future__ import annotations

from pathlib import Path

from crossfuse.errors import InvalidInput
from crossfuse_training.data import DataSet
from crossfuse_training.data.layouts import Candidate, find
from crossfuse_training.data.split import held_out_stems

HOLD_OUT_EVERY = 10


def find_pairs(folder: Path) -> list[Candidate]:
    """The pairs, sorted by stem; a file that belongs to none is an error that names it."""
    whole = folder.resolve()
    # Compared and calibrated on, never trained on: TNO may be among them.
    source = DataSet(name=whole.name, licence="", hold_out="all")
    candidates, rejected = find(source, whole.parent)
    if rejected:
        first = rejected[0]
        raise InvalidInput(first.file, first.reason, "every stem once in ir and once in vis")
    return candidates


def training_pairs(folder: Path) -> list[Candidate]:
    """Those that recipes train on by default: every 10th stem is held out."""
    pairs = find_pairs(folder)
    held_out = held_out_stems(pairs, "stems", HOLD_OUT_EVERY)
    return [pair for pair in pairs if pair.stem not in held_out]
