"""Previews: infrared, visible picture and result beside each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from torch import Tensor

from crossfuse.images import encode, write_file
from crossfuse_training.tensors import grey_levels

_GAP = 4


def write_preview(path: Path, *pictures: Tensor) -> None:
    """A PNG of grey pictures [1,1,H,W] in 0..255 side by side, of one size."""
    shown = [grey_levels(picture) for picture in pictures]
    gap = np.full((shown[0].shape[0], _GAP), 255, np.uint8)
    strip = [part for picture in shown for part in (picture, gap)][:-1]
    write_file(path, encode(np.hstack(strip), "png"))
