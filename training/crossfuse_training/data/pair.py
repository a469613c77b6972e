"""A pair that was found and checked, and a pair in memory."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.errors import InvalidInput
from crossfuse.images import read_visible
from crossfuse_training.data.sources import Grey, Pictures, Source
from crossfuse_training.fusion_graph import BLUE, GREEN, RED

BACKGROUND_WINDOW = 129
"""Side of the window, passed over twice, whose mean is what infrared is warm or cold against."""
_LUMA = np.array([RED, GREEN, BLUE], np.float32)
# crossfuse.metrics.to_grey rounds the other way in 7 of 100,000 colours, where the luma lies midway
# between two levels; with it the shipped models could not be trained again bit for bit.


@dataclass(frozen=True)
class PairFiles:
    """A pair that was found and checked; all but the pictures themselves."""

    set: str
    """Name of the data set."""
    stem: str
    """Name of the pair, unique in its set: its path without modality and suffix."""
    group: str
    """Sequence, or day or night, where the names tell; what subsets are stratified by."""
    source: Source
    """Reads the two pictures."""
    height: int
    width: int
    sha256: str
    """Of both files, or of the pixels where a picture has no file of its own."""
    teacher: Path | None = None
    """The fused picture a student learns from."""

    @property
    def name(self) -> str:
        """`set/stem`."""
        return f"{self.set}/{self.stem}"


@dataclass(frozen=True)
class Pair:
    """A pair in memory: uint8 HxW each, 0..255, all of one size."""

    set: str
    stem: str
    ir: Grey
    luma: Grey
    """Brightness of the visible picture."""
    background: Grey
    """The infrared, averaged over a wide neighbourhood of each pixel."""
    teacher: Grey | None = None

    @property
    def name(self) -> str:
        """`set/stem`."""
        return f"{self.set}/{self.stem}"

    @property
    def nbytes(self) -> int:
        """Memory of the pictures."""
        teacher = 0 if self.teacher is None else self.teacher.nbytes
        return self.ir.nbytes + self.luma.nbytes + self.background.nbytes + teacher


def read_pair(files: PairFiles) -> Pair:
    """The pair in memory; InvalidInput where it is not the one that was checked."""
    pictures = files.source.read()
    if pictures.sha256 != files.sha256:
        raise InvalidInput(files.name, "other pictures than at the start", "files left alone")
    return pair_of(files, pictures)


def pair_of(files: PairFiles, pictures: Pictures) -> Pair:
    """The pair of pictures that were read already."""
    teacher = None if files.teacher is None else luma_of(read_visible(files.teacher))
    background = background_of(pictures.ir)
    return Pair(files.set, files.stem, pictures.ir, luma_of(pictures.vis), background, teacher)


def luma_of(vis: NDArray[np.uint8]) -> Grey:
    """Brightness of a visible picture, uint8 HxWx3 RGB or HxW grey."""
    return vis if vis.ndim == 2 else np.rint(vis @ _LUMA).astype(np.uint8)


def background_of(ir: Grey) -> Grey:
    """The infrared picture averaged over a wide neighbourhood of each pixel."""
    window = (BACKGROUND_WINDOW, BACKGROUND_WINDOW)
    mean = cv2.blur(cv2.blur(ir.astype(np.float32), window), window)
    return np.rint(mean).astype(np.uint8)
