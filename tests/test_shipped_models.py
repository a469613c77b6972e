"""What both shipped models do on pictures that need no data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossfuse.fuser import load


@pytest.mark.parametrize(("model", "most"), [("crossfuse-rt", 10), ("models/crossfuse-base/1", 1)])
@pytest.mark.parametrize(("ir", "vis"), [(10, 240), (200, 60), (120, 120)])
@pytest.mark.parametrize("size", [(96, 136), (99, 133)])
def test_a_flat_pair_stays_flat_up_to_the_border(
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    most: int,
    ir: int,
    vis: int,
    size: tuple[int, int],
) -> None:
    monkeypatch.chdir(root)
    with load(model, threads=1) as fuser:
        fused = fuser.fuse(np.full(size, ir, np.uint8), np.full((*size, 3), vis, np.uint8))
    assert np.abs(fused.astype(int) - fused[48, 66]).max() <= most
