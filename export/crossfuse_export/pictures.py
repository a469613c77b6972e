"""The pictures that exported models are compared on: real, synthetic, and what no camera gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

import crossfuse
from crossfuse import synthetic
from crossfuse.arrays import UInt8Array
from crossfuse.errors import InvalidInput
from crossfuse.images import read_infrared, read_visible
from crossfuse_export.real_pairs import find_pairs
from crossfuse_training.data.layouts import PICTURES

SIZES = ((32, 32), (33, 47), (247, 359), (480, 640))
LARGE_SIZE = (720, 1280)
FEW = ("sample", "scene 1", "noise")
"""What stands for all pictures where running every one takes too long."""


@dataclass(frozen=True)
class Picture:
    """A pair to compare on: ir [H,W] and vis [H,W,3] RGB, uint8."""

    name: str
    kind: str
    """real, synthetic or adversarial."""
    ir: UInt8Array
    vis: UInt8Array


def real_pictures(data: Path | None) -> list[Picture]:
    """The sample of the package, and the first pair of every data set in the folder."""
    sample = Path(crossfuse.__file__).parent / "assets" / "sample"
    pictures = [_read("sample", sample / "ir.png", sample / "vis.png")]
    if data is None:
        return pictures
    if not data.is_dir():
        raise InvalidInput(
            "CROSSFUSE_DATA", str(data), "a folder of data sets, each with ir and vis"
        )
    for folder in sorted(data.iterdir()):
        if any(path.suffix.lower() in PICTURES for path in (folder / "ir").glob("*")):
            pair = find_pairs(folder)[0]
            found = pair.source.read()
            pictures.append(
                Picture(f"{folder.name}/{pair.stem}", "real", found.ir, in_colour(found.vis))
            )
    return pictures


def pictures_of(height: int, width: int, real: Sequence[Picture]) -> list[Picture]:
    """Everything that is compared at one size; real pictures are resized to it."""
    return [
        *(_resized(picture, height, width) for picture in real),
        *_synthetic(height, width),
        *_adversarial(height, width),
    ]


def in_colour(vis: UInt8Array) -> UInt8Array:
    """A visible picture as [H,W,3]: grey [H,W] becomes three equal channels."""
    return vis if vis.ndim == 3 else np.repeat(vis[..., None], 3, axis=2)


def _synthetic(height: int, width: int) -> Iterator[Picture]:
    for seed in (1, 2):
        yield Picture(f"scene {seed}", "synthetic", *synthetic.pair(seed, height, width))
    ir, vis = synthetic.pair(3, height, width)
    yield Picture("scene 3 in grey", "synthetic", ir, in_colour(vis[..., 1]))
    across, down = (np.linspace(0, 255, size).astype(np.uint8) for size in (width, height))
    ramp = np.tile(down[:, None], (1, width))
    yield Picture("ramps", "synthetic", np.tile(across, (height, 1)), in_colour(ramp))


def _adversarial(height: int, width: int) -> Iterator[Picture]:
    for name, ir_level, vis_level in (
        ("black", 0, 0),
        ("constant", 120, 90),
        ("saturated", 255, 255),
    ):
        ir, grey = (np.full((height, width), level, np.uint8) for level in (ir_level, vis_level))
        yield Picture(name, "adversarial", ir, in_colour(grey))
    hot, grey = np.full((height, width), 20, np.uint8), np.full((height, width), 60, np.uint8)
    hot[height // 2, width // 2] = 255
    yield Picture("one hot pixel", "adversarial", hot, in_colour(grey))
    generator = np.random.default_rng(height * 10_000 + width)
    noise = generator.integers(0, 256, (height, width, 4), dtype=np.uint8)
    yield Picture("noise", "adversarial", noise[..., 3], noise[..., :3])


def _read(name: str, ir_path: Path, vis_path: Path) -> Picture:
    ir, vis = read_infrared(ir_path), read_visible(vis_path)
    if ir.dtype != np.uint8:
        raise InvalidInput(str(ir_path), f"{ir.dtype}", "an 8-bit picture")
    return Picture(name, "real", ir.astype(np.uint8), in_colour(vis))


def _resized(picture: Picture, height: int, width: int) -> Picture:
    ir, vis = (
        np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        for image in (picture.ir, picture.vis)
    )
    return Picture(picture.name, picture.kind, ir, vis)
