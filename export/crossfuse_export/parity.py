"""How far an exported model may be from the network: differences, bars, verdicts."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from crossfuse.arrays import UInt8Array
from crossfuse_training.fusion_graph import BLUE, GREEN, RED
from crossfuse_training.losses import mean_ssim

BATCHES = (1, 3)
AMPLIFYING_RANGE = 1e-3
"""A minmax head that stretches less than this to 255 levels stretches rounding with it."""


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
