"""Pictures to score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.metrics import SourcePair

Image = NDArray[Any]
Triple = tuple[Image, Image, Image]


@pytest.fixture(scope="session")
def tno(data_dir: Path) -> dict[str, Triple]:
    """Infrared, visible and official CrossFuse output of four TNO pairs, uint8 HxW."""
    folder = data_dir / "tno_golden"
    return {
        stem: tuple(  # type: ignore[misc]
            cv2.imread(str(folder / kind / f"{stem}.png"), cv2.IMREAD_GRAYSCALE)
            for kind in ("ir", "vis", "crossfuse_official")
        )
        for stem in ("1", "5", "12", "19")
    }


@pytest.fixture(scope="session")
def scene() -> Triple:
    """A made-up infrared, visible and fused picture with edges, ramps and noise, uint8 192x208."""
    random = np.random.default_rng(7)
    down, right = np.mgrid[:192, :208]
    ir = (
        40
        + 160 * np.exp(-((down - 90) ** 2 + (right - 60) ** 2) / 900)
        + random.normal(0, 4, down.shape)
    )
    vis = 90 + 60 * np.sin(right / 7) * np.cos(down / 11) + 40 * (right > 120)
    vis = vis + random.normal(0, 3, down.shape)
    fused = 0.45 * ir + 0.6 * vis - 10
    as_bytes = [np.clip(np.rint(x), 0, 255).astype(np.uint8) for x in (ir, vis, fused)]
    return as_bytes[0], as_bytes[1], as_bytes[2]


@pytest.fixture
def pair(scene: Triple) -> SourcePair:
    """The sources of the made-up scene."""
    return SourcePair(scene[0], scene[1])
