"""Checks one pair: both pictures decode, fit together, and have the range they should."""

from __future__ import annotations

from pathlib import Path

from crossfuse.errors import InvalidInput
from crossfuse.images import read_visible
from crossfuse_training.data.cache import PairCache
from crossfuse_training.data.layouts import PICTURES, Candidate, Rejected
from crossfuse_training.data.pair import PairFiles, pair_of
from crossfuse_training.data.sources import Pictures

_PICTURES_KEPT = 3
"""Infrared, luma and background; a teacher makes one more."""


def check_candidate(
    set_name: str, candidate: Candidate, teacher: Path | None, cache: PairCache
) -> PairFiles | Rejected:
    """The pair, or why it cannot be used; what was decoded is kept where the cache has room."""
    try:
        pictures = candidate.source.read()
        _check_pictures(pictures)
        fused = _fused_picture(teacher, candidate.stem, pictures)
    except InvalidInput as error:
        return Rejected(set_name, candidate.stem, str(error))
    height, width = pictures.ir.shape
    files = PairFiles(
        set_name,
        candidate.stem,
        candidate.group,
        candidate.source,
        height,
        width,
        pictures.sha256,
        fused,
    )
    if cache.has_room((_PICTURES_KEPT + (fused is not None)) * height * width):
        cache.add(pair_of(files, pictures))
    return files


def _check_pictures(pictures: Pictures) -> None:
    ir, vis = pictures.ir, pictures.vis
    if ir.shape != vis.shape[:2]:
        raise InvalidInput(
            "size of vis",
            f"{vis.shape[1]}x{vis.shape[0]}",
            f"{ir.shape[1]}x{ir.shape[0]}, as infrared",
        )
    for name, image in (("ir", ir), ("vis", vis)):
        if image.max() <= 1:
            raise InvalidInput(
                name, f"levels up to {image.max()}", "0 to 255; 0 to 1 is another scale, or black"
            )


def _fused_picture(folder: Path | None, stem: str, pictures: Pictures) -> Path | None:
    """The teacher's picture of this pair, read once to see that it fits."""
    if folder is None:
        return None
    for suffix in PICTURES:
        path = folder / f"{stem}{suffix}"
        if path.is_file():
            shape = read_visible(path).shape[:2]
            if shape != pictures.ir.shape:
                raise InvalidInput(
                    str(path), f"{shape[1]}x{shape[0]}", "the size of the pair's pictures"
                )
            return path
    raise InvalidInput("teacher", f"no picture {stem} in {folder}", "one for every pair")
