"""How far an exported file is from the PyTorch network, over stated pictures, against its bars."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from torch import nn
from tqdm import tqdm

from crossfuse.arrays import UInt8Array
from crossfuse.bundles import FileQuality
from crossfuse_export.errors import QualityMissed
from crossfuse_export.parity import Difference, compare, judge
from crossfuse_export.pictures import (
    FEW,
    SIZES,
    Picture,
    pictures_of,
    real_pictures,
)
from crossfuse_export.reference import Reference

ALL_PICTURES_UP_TO = 400 * 400
"""Pixels up to which every picture is run; of larger ones, which take long, a few are."""
BATCH = 3
LARGEST_BATCH_DIFFERENCE = 1

Runner = Callable[[UInt8Array, UInt8Array], UInt8Array]
"""ir [B,H,W] and vis [B,H,W,3] RGB to the fused picture like vis, all uint8."""


@dataclass(frozen=True)
class Expected:
    """A picture and what the PyTorch network makes of it, [H,W,3] RGB."""

    picture: Picture
    fused: UInt8Array
    spread: float | None
    """Range before a minmax head, which is stretched to 255 levels; None with other heads."""

    @property
    def size(self) -> str:
        """HEIGHTxWIDTH."""
        return f"{self.fused.shape[0]}x{self.fused.shape[1]}"


def expectations(
    network: nn.Module,
    sizes: Sequence[tuple[int, int]] = SIZES,
    *,
    data: Path | None = None,
) -> list[Expected]:
    """What the network makes of the pictures of each size (height, width).

    Besides the sample pair, real pictures come from the data sets in `data`.
    """
    reference, real = Reference(network), real_pictures(data)
    pictures = [
        picture
        for height, width in sizes
        for picture in pictures_of(height, width, real)
        if height * width <= ALL_PICTURES_UP_TO or picture.name in FEW
    ]
    return [
        Expected(picture, *reference.fuse(picture))
        for picture in tqdm(pictures, "PyTorch", unit="picture", leave=False, disable=None)
    ]


def onnx_runner(model: bytes) -> Runner:
    """Runs an ONNX model on one thread of the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def run(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        fused: UInt8Array = session.run(["fused"], {"ir": ir, "vis": vis})[0]
        return fused

    return run


def measure(expected: Sequence[Expected], run: Runner, precision: str) -> FileQuality:
    """The distance over all pictures; QualityMissed names the first that misses the bar."""
    judged: list[tuple[Expected, Difference]] = []
    for case in tqdm(expected, precision, unit="picture", leave=False, disable=None):
        (received,) = run(case.picture.ir[None], case.picture.vis[None])
        difference = compare(received, case.fused)
        missed, not_judged = judge(precision, case.picture.kind, case.spread, difference)
        if not_judged is not None:
            continue
        if missed:
            raise QualityMissed(
                f"{precision}: {case.picture.name} at {case.size}: got {'; '.join(missed)}"
            )
        judged.append((case, difference))
    return _summed(judged)


def check_batches(expected: Sequence[Expected], run: Runner) -> None:
    """Refuse a model that gives other pictures in a batch than alone, by over a grey level."""
    for size in dict.fromkeys(case.size for case in expected):
        cases = [case for case in expected if case.size == size][:BATCH]
        ir, vis = (
            np.stack([getattr(case.picture, name) for case in cases]) for name in ("ir", "vis")
        )
        batch = run(ir, vis)
        for index, case in enumerate(cases):
            (alone,) = run(ir[index : index + 1], vis[index : index + 1])
            apart = compare(batch[index], alone).max_abs
            if apart > LARGEST_BATCH_DIFFERENCE:
                raise QualityMissed(
                    f"{case.picture.name} at {size}, in a batch of {len(cases)} against alone: got "
                    f"{apart} grey levels; valid: at most {LARGEST_BATCH_DIFFERENCE}"
                )


def _summed(judged: Sequence[tuple[Expected, Difference]]) -> FileQuality:
    pixels = np.array([case.fused.size for case, _ in judged], np.float64)
    squares = sum(
        255**2 / 10 ** (difference.psnr / 10) * case.fused.size
        for case, difference in judged
        if difference.psnr is not None
    )
    kinds = Counter(case.picture.kind for case, _ in judged)
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    sizes = ", ".join(dict.fromkeys(case.size for case, _ in judged))
    means = [difference.mean_abs for _, difference in judged]
    return FileQuality(
        pictures=f"{counts} pairs at {sizes}",
        psnr=None if squares == 0 else 10 * math.log10(255**2 * float(pixels.sum()) / squares),
        ssim=float(np.mean([difference.ssim for _, difference in judged])),
        max_abs=max(difference.max_abs for _, difference in judged),
        mean_abs=float(np.average(means, weights=pixels)),
    )
