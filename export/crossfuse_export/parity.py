"""What exported models are compared on and by which bars: pictures, differences, verdicts."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

import crossfuse
from crossfuse import synthetic
from crossfuse.errors import InvalidInput
from crossfuse.images import read_infrared, read_visible
from crossfuse_export.graph import BLUE, GREEN, RED
from crossfuse_export.real_pairs import find_pairs
from crossfuse_training.data.layouts import PICTURES
from crossfuse_training.losses import mean_ssim

SIZES = ((32, 32), (33, 47), (247, 359), (480, 640))
LARGE_SIZE = (720, 1280)
BATCHES = (1, 3)
AMPLIFYING_RANGE = 1e-3
"""A minmax head that stretches less than this to 255 levels stretches rounding with it."""

UInt8Array = NDArray[np.uint8]


@dataclass(frozen=True)
class Picture:
    """A pair to compare on: ir [H,W] and vis [H,W,3] RGB, uint8."""

    name: str
    kind: str
    """real, synthetic or adversarial."""
    ir: UInt8Array
    vis: UInt8Array


@dataclass(frozen=True)
class Difference:
    """How far a picture is from what it should be, in grey levels."""

    psnr: float | None
    """None where the two are equal."""
    ssim: float
    max_abs: int
    mean_abs: float


@dataclass(frozen=True)
class Bar:
    """What a precision must reach in every case; None where it has no such bar."""

    max_abs: int | None = None
    mean_abs: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    kinds: tuple[str, ...] = ("real", "synthetic", "adversarial")
    """The kinds of pictures that it judges."""

    def missed(self, difference: Difference) -> tuple[str, ...]:
        """Every number that misses, with what is valid."""
        found = []
        for name in ("max_abs", "mean_abs"):
            limit, value = getattr(self, name), getattr(difference, name)
            if limit is not None and not value <= limit:
                found.append(f"{name} {value:.4g}, valid: at most {limit:g}")
        for name in ("psnr", "ssim"):
            limit, value = getattr(self, name), getattr(difference, name)
            if limit is not None and value is not None and not value >= limit:
                found.append(f"{name} {value:.4g}, valid: at least {limit:g}")
        return tuple(found)


BARS = {
    "fp32": Bar(max_abs=1, mean_abs=0.01),
    "fp16": Bar(max_abs=4, psnr=45.0),
    # Its ranges are those of pictures; what no camera gives is measured, but not judged.
    "int8": Bar(psnr=40.0, ssim=0.985, kinds=("real", "synthetic")),
}


@dataclass(frozen=True)
class Case:
    """One picture through one file on one provider, in a batch of one or of several."""

    precision: str
    device: str
    picture: str
    kind: str
    size: str
    batch: int
    difference: Difference
    spread: float | None
    """Range before a minmax head; None with other heads."""
    missed: tuple[str, ...]
    not_judged: str | None
    """Why no bar applies, where none does."""


def judge(
    precision: str, kind: str, spread: float | None, difference: Difference
) -> tuple[tuple[str, ...], str | None]:
    """What is missed, and why nothing is judged where that is so."""
    bar = BARS[precision]
    if spread is not None and spread < AMPLIFYING_RANGE:
        return (), f"range before the minmax head {spread:.1e}, below {AMPLIFYING_RANGE:g}"
    if precision == "fp16" and spread is not None and kind == "adversarial":
        return (), "a minmax head stretches what fp16 rounds: only finiteness counts here"
    if kind not in bar.kinds:
        return (), f"{kind} pictures are not what {precision} was calibrated on"
    return bar.missed(difference), None


def compare(received: UInt8Array, expected: UInt8Array) -> Difference:
    """Two pictures [H,W,3]; SSIM is that of their lumas."""
    apart = received.astype(np.int16) - expected
    square = float(np.square(apart, dtype=np.float64).mean())
    weights = np.array([RED, GREEN, BLUE], np.float32)
    first, second = (
        torch.from_numpy(image @ weights)[None, None] for image in (received, expected)
    )
    return Difference(
        psnr=None if square == 0 else 10 * math.log10(255**2 / square),
        ssim=float(mean_ssim(first, second, second)),
        max_abs=int(np.abs(apart).max()),
        mean_abs=float(np.abs(apart).mean()),
    )


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
                Picture(f"{folder.name}/{pair.stem}", "real", found.ir, _in_colour(found.vis))
            )
    return pictures


def pictures_of(height: int, width: int, real: Sequence[Picture]) -> list[Picture]:
    """Everything that is compared at one size; real pictures are resized to it."""
    return [
        *(_resized(picture, height, width) for picture in real),
        *_synthetic(height, width),
        *_adversarial(height, width),
    ]


def _synthetic(height: int, width: int) -> Iterator[Picture]:
    for seed in (1, 2):
        yield Picture(f"scene {seed}", "synthetic", *synthetic.pair(seed, height, width))
    ir, vis = synthetic.pair(3, height, width)
    yield Picture("scene 3 in grey", "synthetic", ir, _colour(vis[..., 1]))
    across, down = (np.linspace(0, 255, size).astype(np.uint8) for size in (width, height))
    ramp = np.tile(down[:, None], (1, width))
    yield Picture("ramps", "synthetic", np.tile(across, (height, 1)), _colour(ramp))


def _adversarial(height: int, width: int) -> Iterator[Picture]:
    for name, ir_level, vis_level in (
        ("black", 0, 0),
        ("constant", 120, 90),
        ("saturated", 255, 255),
    ):
        ir, grey = (np.full((height, width), level, np.uint8) for level in (ir_level, vis_level))
        yield Picture(name, "adversarial", ir, _colour(grey))
    hot, grey = np.full((height, width), 20, np.uint8), np.full((height, width), 60, np.uint8)
    hot[height // 2, width // 2] = 255
    yield Picture("one hot pixel", "adversarial", hot, _colour(grey))
    generator = np.random.default_rng(height * 10_000 + width)
    noise = generator.integers(0, 256, (height, width, 4), dtype=np.uint8)
    yield Picture("noise", "adversarial", noise[..., 3], noise[..., :3])


def _colour(grey: UInt8Array) -> UInt8Array:
    return np.repeat(grey[..., None], 3, axis=2)


def _read(name: str, ir_path: Path, vis_path: Path) -> Picture:
    ir, vis = read_infrared(ir_path), read_visible(vis_path)
    if ir.dtype != np.uint8:
        raise InvalidInput(str(ir_path), f"{ir.dtype}", "an 8-bit picture")
    return Picture(name, "real", ir.astype(np.uint8), _in_colour(vis))


def _in_colour(vis: UInt8Array) -> UInt8Array:
    return vis if vis.ndim == 3 else _colour(vis)


def _resized(picture: Picture, height: int, width: int) -> Picture:
    ir, vis = (
        np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        for image in (picture.ir, picture.vis)
    )
    return Picture(picture.name, picture.kind, ir, vis)
