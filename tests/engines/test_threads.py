"""The server runs a pair on more or fewer threads as it has room: the picture must not tell."""

from __future__ import annotations

import numpy as np
import pytest

from crossfuse.engines import load_engine


@pytest.mark.parametrize(("height", "width"), [(32, 32), (97, 131), (240, 320), (480, 640)])
def test_the_number_of_threads_changes_no_byte(height: int, width: int) -> None:
    rng = np.random.default_rng(height)
    ir = rng.integers(0, 256, (1, height, width), np.uint8)
    vis = rng.integers(0, 256, (1, height, width, 3), np.uint8)
    pictures = []
    for threads in (1, 2, 4):
        engine = load_engine("crossfuse-rt", device="cpu", threads=threads)
        pictures.append(engine.fuse(ir, vis))
        engine.close()
    assert np.array_equal(pictures[0], pictures[1])
    assert np.array_equal(pictures[0], pictures[2])
