"""Pairs of pictures for training: found in folders, checked, held in memory, cut and augmented."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from crossfuse.errors import InvalidInput
from crossfuse.images import read_infrared, read_visible

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
HOLD_OUT_EVERY = 10
BACKGROUND_WINDOW = 129
"""Side of the window, passed over twice, whose mean is what infrared is warm or cold against."""
_NAMES_IN_MESSAGE = 5
# BT.601 full range, as everywhere in this project.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class PairFiles:
    """The two files of a scene; the stem is their common name without suffix."""

    stem: str
    ir: Path
    vis: Path


@dataclass(frozen=True)
class Pair:
    """A scene in memory: infrared, luma of the visible picture, background; uint8 HxW each."""

    stem: str
    ir: NDArray[np.uint8]
    luma: NDArray[np.uint8]
    background: NDArray[np.uint8]
    """The infrared, averaged over a wide neighbourhood of each pixel."""


def find_pairs(folder: Path) -> list[PairFiles]:
    """The pairs of `folder/ir` and `folder/vis`, sorted by stem.

    A picture without partner, or two with one stem, is an error that names it: a silent gap in the
    data would only show as a worse network.
    """
    ir, vis = _by_stem(folder / "ir"), _by_stem(folder / "vis")
    if not ir and not vis:
        raise InvalidInput(str(folder), "no pictures", f"pictures ({', '.join(SUFFIXES)})")
    for there, absent, name in ((ir, vis, "vis"), (vis, ir, "ir")):
        alone = sorted(there.keys() - absent.keys())
        if alone:
            raise InvalidInput(
                str(folder / name), f"no partner for {_listed(alone)}", "every stem in ir and vis"
            )
    return [PairFiles(stem, ir[stem], vis[stem]) for stem in sorted(ir)]


def split(pairs: Sequence[PairFiles]) -> tuple[list[PairFiles], list[PairFiles]]:
    """Training and held-out pairs: every 10th by sorted stem is held out."""
    ordered = sorted(pairs, key=lambda pair: pair.stem)
    held_out = ordered[HOLD_OUT_EVERY - 1 :: HOLD_OUT_EVERY]
    stems = {pair.stem for pair in held_out}
    return [pair for pair in ordered if pair.stem not in stems], held_out


def read_pair(files: PairFiles) -> Pair:
    """The pair in memory; InvalidInput where the sizes differ or the infrared is not 8 bit."""
    ir, vis = read_infrared(files.ir), read_visible(files.vis)
    if ir.dtype != np.uint8:
        raise InvalidInput(str(files.ir), f"{ir.dtype}", "an 8-bit picture")
    if ir.shape != vis.shape[:2]:
        raise InvalidInput(
            str(files.vis), f"{vis.shape[1]}x{vis.shape[0]}", f"{ir.shape[1]}x{ir.shape[0]}, as ir"
        )
    luma = vis if vis.ndim == 2 else np.rint(vis @ _LUMA).astype(np.uint8)
    window = (BACKGROUND_WINDOW, BACKGROUND_WINDOW)
    background = cv2.blur(cv2.blur(ir.astype(np.float32), window), window)
    return Pair(files.stem, np.asarray(ir, np.uint8), luma, np.rint(background).astype(np.uint8))


def random_batch(
    pairs: Sequence[Pair],
    generator: np.random.Generator,
    *,
    batch: int,
    crop: int,
    misalign_share: float,
    misalign_pixels: int,
) -> tuple[Tensor, Tensor, Tensor]:
    """Random cuts of `crop` to `crop + 3` pixels: ir, luma and background, [B,1,H,W] in 0..255.

    The sides vary so that the network also learns patches that its grid cuts off. In a share of
    the cuts the infrared is shifted against the visible picture. Half of them are mirrored.
    """
    height, width = (crop + int(extra) for extra in generator.integers(0, 4, 2))
    cuts = []
    for _ in range(batch):
        pair = pairs[int(generator.integers(len(pairs)))]
        limits = np.array([pair.ir.shape[0] - height, pair.ir.shape[1] - width])
        if limits.min() < 0:
            raise InvalidInput(
                "crop", f"{crop}", f"at most {min(pair.ir.shape) - 3}, for {pair.stem}"
            )
        corner = generator.integers(0, limits + 1)
        shift = np.zeros(2, np.int64)
        if generator.random() < misalign_share:
            shift = generator.integers(-misalign_pixels, misalign_pixels + 1, 2)
        visible_part = _window(corner, height, width)
        ir_part = _window(np.clip(corner + shift, 0, limits), height, width)
        cut = (pair.ir[ir_part], pair.luma[visible_part], pair.background[ir_part])
        flip = -1 if generator.random() < 0.5 else 1
        cuts.append(tuple(image[:, ::flip] for image in cut))
    ir, luma, background = (
        as_tensor(np.stack(images)[:, None]) for images in zip(*cuts, strict=True)
    )
    return ir, luma, background


def as_tensor(image: NDArray[np.uint8]) -> Tensor:
    """Grey levels 0..255 as float32, the same shape."""
    return torch.from_numpy(image.astype(np.float32))


def _window(corner: NDArray[np.int64], height: int, width: int) -> tuple[slice, slice]:
    top, left = (int(place) for place in corner)
    return slice(top, top + height), slice(left, left + width)


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InvalidInput(str(folder), "no such folder", "a folder of pictures")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in SUFFIXES:
            continue
        if path.stem in found:
            raise InvalidInput(
                str(folder), f"{found[path.stem].name} and {path.name}", "one picture for each stem"
            )
        found[path.stem] = path
    return found


def _listed(stems: Sequence[str]) -> str:
    more = len(stems) - _NAMES_IN_MESSAGE
    return ", ".join(stems[:_NAMES_IN_MESSAGE]) + (f" and {more} more" if more > 0 else "")
