"""Stratified order: every beginning of it holds each group in its share."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from crossfuse_training.data.layouts import Candidate
from crossfuse_training.data.pair import PairFiles
from crossfuse_training.data.sources import SceneSource
from crossfuse_training.data.split import held_out_stems, stratified_order

SCENE = SceneSource(0, 32, 32)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=6), st.integers(0, 1000))
def test_every_beginning_is_stratified(sizes: list[int], seed: int) -> None:
    pairs = [
        PairFiles("set", f"{group}/{index}", str(group), SCENE, 32, 32, "")
        for group, size in enumerate(sizes)
        for index in range(size)
    ]
    shuffled = [pairs[index] for index in np.random.default_rng(seed).permutation(len(pairs))]
    ordered = stratified_order(shuffled, seed)
    assert ordered == stratified_order(pairs, seed)
    assert sorted(pair.stem for pair in ordered) == sorted(pair.stem for pair in pairs)
    for count in range(len(ordered) + 1):
        seen = Counter(pair.group for pair in ordered[:count])
        for group, size in enumerate(sizes):
            share = size / len(pairs)
            # Rounding one's own share, and that of the others: half a place for each group.
            assert abs(seen[str(group)] - count * share) <= 1 + share * len(sizes) / 2


def test_one_sequence_holds_out_its_end() -> None:
    frames = [Candidate(f"clip/{frame:03d}", "clip", "clip", SCENE) for frame in range(25)]
    assert held_out_stems(frames, "sequences", 10) == {"clip/023", "clip/024"}
    assert held_out_stems(frames, "none", 10) == frozenset()
    assert len(held_out_stems(frames, "all", 10)) == 25
