"""Opens the data of a recipe: finds all pairs, checks each one, splits them, keeps them ready."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crossfuse.data_folder import BESIDE_THE_CHECKOUT
from crossfuse.errors import InvalidInput
from crossfuse_training.data.cache import PairCache
from crossfuse_training.data.config import DataConfig, DataSet
from crossfuse_training.data.layouts import Rejected, find
from crossfuse_training.data.pair import Pair, PairFiles
from crossfuse_training.data.pair_check import check_candidate
from crossfuse_training.data.split import held_out_stems, stratified_order

_NAMED_IN_MESSAGE = 5
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ListedPair:
    """What a run records of a pair."""

    set: str
    stem: str
    split: str
    """`train` or `held-out`."""
    sha256: str


@dataclass(frozen=True)
class SetSummary:
    """What a run records of a data set's part in it."""

    set: str
    licence: str
    split: str
    """`train` or `held-out`."""
    pairs: int
    sha256: str
    """Of the stems and hashes of its pairs, sorted."""


@dataclass(frozen=True)
class Data:
    """The pairs of a run."""

    sets: tuple[DataSet, ...]
    train: tuple[PairFiles, ...]
    """In such an order that the first N are a stratified subset, for every N."""
    held_out: tuple[PairFiles, ...]
    """Never trained on; by set and stem."""
    rejected: tuple[Rejected, ...]
    """What was left out under skip_bad."""
    cache: PairCache

    def read(self, files: PairFiles) -> Pair:
        """The pair in memory, from the cache where it is kept there."""
        return self.cache.read(files)

    def listing(self) -> tuple[ListedPair, ...]:
        """Every pair by split, set and stem."""
        return tuple(
            ListedPair(pair.set, pair.stem, split, pair.sha256)
            for split, pairs in (("held-out", self.held_out), ("train", self.train))
            for pair in sorted(pairs, key=lambda pair: (pair.set, pair.stem))
        )

    def summary(self) -> tuple[SetSummary, ...]:
        """One entry for each set and split that has pairs."""
        listing = self.listing()
        entries = []
        for source in self.sets:
            for split in ("train", "held-out"):
                pairs = [pair for pair in listing if (pair.set, pair.split) == (source.name, split)]
                if pairs:
                    text = "".join(f"{pair.sha256}  {pair.stem}\n" for pair in pairs)
                    digest = hashlib.sha256(text.encode()).hexdigest()
                    entry = SetSummary(source.name, source.licence, split, len(pairs), digest)
                    entries.append(entry)
        return tuple(entries)


def root_of(given: Path | None) -> Path | None:
    """The folder of the data sets: the one given, else CROSSFUSE_DATA, else none."""
    environment = os.environ.get("CROSSFUSE_DATA")
    return given or (Path(environment) if environment else None)


def open_data(
    config: DataConfig,
    root: Path | None,
    *,
    skip_bad: bool = False,
    teacher: Path | None = None,
    seed: int,
) -> Data:
    """Find and check every pair of the sets below `root`, then split and order them.

    Each pair is decoded once here. What cannot be used is refused with its count, unless
    `skip_bad`. `teacher` holds fused pictures: SET/STEM.png, or STEM.png where there is one set.
    """
    sets = config.sets
    if root is None and config.without_root:
        sets = config.without_root
    elif root is None and BESIDE_THE_CHECKOUT.is_dir():
        root = BESIDE_THE_CHECKOUT
    cache = PairCache(config.cache_megabytes * 2**20)
    train: list[PairFiles] = []
    held_out: list[PairFiles] = []
    rejected: list[Rejected] = []
    for source in sets:
        candidates, bad = find(source, root)
        rejected += bad
        kept = held_out_stems(candidates, source.held_out_by, config.held_out_every)
        folder = _teacher_folder(teacher, source, sets)
        for candidate in candidates:
            checked = check_candidate(source.name, candidate, folder, cache)
            if isinstance(checked, Rejected):
                rejected.append(checked)
            else:
                (held_out if candidate.stem in kept else train).append(checked)
        _log.info("%s: %d pairs found", source.name, len(candidates))
    if rejected and not skip_bad:
        raise _refusal(rejected, len(train) + len(held_out))
    ordered = _subset(stratified_order(train, seed), config.subset)
    by_name = tuple(sorted(held_out, key=lambda pair: (pair.set, pair.stem)))
    cache.keep_only((*ordered, *by_name))
    return Data(sets, ordered, by_name, tuple(rejected), cache)


def _teacher_folder(teacher: Path | None, source: DataSet, sets: Sequence[DataSet]) -> Path | None:
    if teacher is None:
        return None
    folder = teacher / source.name
    if folder.is_dir():
        return folder
    if len(sets) == 1 and teacher.is_dir():
        return teacher
    raise InvalidInput(
        "distill.teacher",
        f"no folder {folder}",
        "a checkpoint, or a folder with one of fused pictures for each set",
    )


def _subset(pairs: tuple[PairFiles, ...], size: int | None) -> tuple[PairFiles, ...]:
    if not pairs:
        raise InvalidInput("data.sets", "no pair to train on", "one pair that is not held out")
    if size is not None and size > len(pairs):
        raise InvalidInput("data.subset", str(size), f"at most {len(pairs)}, the pairs there are")
    return pairs[:size]


def _refusal(rejected: Sequence[Rejected], good: int) -> InvalidInput:
    named = "; ".join(
        f"{item.set}: {item.file}: {item.reason}" for item in rejected[:_NAMED_IN_MESSAGE]
    )
    more = len(rejected) - _NAMED_IN_MESSAGE
    return InvalidInput(
        "data",
        f"{len(rejected)} that cannot be used beside {good} good pairs: {named}"
        + (f"; and {more} more" if more > 0 else ""),
        "two readable pictures of one size for every pair, or --skip-bad to leave the others out",
    )
