"""The simple rules that stand beside a model."""

from __future__ import annotations

import numpy as np
import pytest

from crossfuse import synthetic
from crossfuse.metrics import BASELINES, to_grey
from crossfuse_bench.rivals import RULES, load_rival


@pytest.mark.parametrize("name", sorted(RULES))
def test_a_rule_is_the_one_of_the_metrics_in_colour(name: str) -> None:
    ir, vis = synthetic.pair(2, 96, 128)
    fused = RULES[name](ir, vis)
    assert fused.shape == vis.shape
    difference = to_grey(fused).astype(int) - BASELINES[name](ir, vis)
    # Colours that do not fit the new luma are clipped, which changes it.
    assert np.median(np.abs(difference)) <= 1


def test_a_batch_is_fused_pair_by_pair() -> None:
    pairs = [synthetic.pair(seed, 64, 64) for seed in range(2)]
    ir, vis = (np.stack(part) for part in zip(*pairs, strict=True))
    fused = load_rival("average", threads=1)(ir, vis)
    assert np.array_equal(fused[1], RULES["average"](*pairs[1]))
