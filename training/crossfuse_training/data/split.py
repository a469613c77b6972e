"""Which pairs are held out, and in which order subsets take the others."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from crossfuse_training.data.layouts import Candidate
from crossfuse_training.data.pair import PairFiles

Item = TypeVar("Item")


def held_out_stems(candidates: Sequence[Candidate], by: str, every: int) -> frozenset[str]:
    """Stems of one set that are not trained on; `by` is a HOLD_OUT name of the configuration."""
    stems = sorted(candidate.stem for candidate in candidates)
    if by == "all":
        return frozenset(stems)
    if by == "none":
        return frozenset()
    if by == "stems":
        return frozenset(stems[every - 1 :: every])
    sequences = sorted({candidate.sequence for candidate in candidates})
    if len(sequences) == 1:
        # One sequence has to serve both: its end is held out, farthest from what is trained on.
        return frozenset(stems[len(stems) - len(stems) // every :])
    kept = sequences[every - 1 :: every] or sequences[-1:]
    return frozenset(item.stem for item in candidates if item.sequence in kept)


def stratified_order(pairs: Sequence[PairFiles], seed: int) -> tuple[PairFiles, ...]:
    """The pairs so ordered that the first N hold every set and group in its share, for every N.

    Each group is shuffled and laid out evenly over the whole, half a place from either end.
    """
    groups: dict[tuple[str, str], list[PairFiles]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda pair: pair.name):
        groups[pair.set, pair.group].append(pair)
    generator = np.random.default_rng(seed)
    placed: list[tuple[float, str, PairFiles]] = []
    for key in sorted(groups):
        members = groups[key]
        for place, index in enumerate(generator.permutation(len(members))):
            pair = members[int(index)]
            placed.append(((place + 0.5) / len(members), pair.name, pair))
    return tuple(pair for _, _, pair in sorted(placed, key=lambda item: item[:2]))
