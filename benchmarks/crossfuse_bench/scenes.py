"""The pictures of a measurement: real ones that change from call to call, never noise or zeros."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from crossfuse import synthetic
from crossfuse.arrays import UInt8Array
from crossfuse.data_folder import data_folder
from crossfuse.images import read_infrared, read_visible

COUNT = 8
SET = "msrs"


@dataclass(frozen=True)
class Scenes:
    """Pairs to rotate through: ir uint8 HxW, vis uint8 HxWx3 RGB, all of one size."""

    source: str
    pairs: list[tuple[UInt8Array, UInt8Array]]

    def batch(self, number: int, size: int) -> tuple[UInt8Array, UInt8Array]:
        """The batch of a call: ir [B,H,W] and vis [B,H,W,3] of consecutive scenes."""
        chosen = [self.pairs[(number * size + k) % len(self.pairs)] for k in range(size)]
        irs, viss = zip(*chosen, strict=True)
        return np.stack(irs), np.stack(viss)


def load_scenes(height: int, width: int, count: int = COUNT) -> Scenes:
    """Pairs spread over a set of real ones, or synthetic ones where no real ones lie."""
    folder = data_folder()
    if folder is None or not (folder / SET / "ir").is_dir():
        pairs = [synthetic.pair(seed, height, width) for seed in range(count)]
        return Scenes(f"{count} synthetic street scenes, made at this size", pairs)
    files = sorted((folder / SET / "ir").glob("*.png"))
    files = files[:: max(1, len(files) // count)][:count]
    found = [_read(path, height, width) for path in files]
    return Scenes(
        f"{len(found)} pairs of {SET}, resized to this size where they have another", found
    )


def _read(ir: Path, height: int, width: int) -> tuple[UInt8Array, UInt8Array]:
    (vis,) = (ir.parent.parent / "vis").glob(f"{ir.stem}.*")
    return (
        _resized(np.asarray(read_infrared(ir), np.uint8), height, width),
        _resized(np.asarray(read_visible(vis), np.uint8), height, width),
    )


def _resized(picture: UInt8Array, height: int, width: int) -> UInt8Array:
    if picture.shape[:2] == (height, width):
        return picture
    smaller = picture.shape[0] > height
    method = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (width, height), interpolation=method), np.uint8)
