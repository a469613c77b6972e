"""Optimisation profiles: the sizes and batches an engine is built for, and which one a call takes.

TensorRT chooses its kernels for the usual shape of a profile, so the default ones each fix a height
and a width, and only the batch moves. A profile can also span a range of sizes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.errors import InvalidInput

Shape3 = tuple[int, int, int]
"""Batch, height, width."""

_FIXED = re.compile(r"(\d{1,5})x(\d{1,5})(?::(\d{1,4}),(\d{1,4}),(\d{1,4}))?")
_RANGE = re.compile(r"-".join([r"(\d{1,5})x(\d{1,5})x(\d{1,5})"] * 3))
FORM = (
    "HEIGHTxWIDTH, HEIGHTxWIDTH:LEAST,USUAL,LARGEST batch such as 480x640:1,1,8, or the shapes "
    "themselves, LEAST-USUAL-LARGEST, such as 1x32x32-1x480x640-2x1088x1920"
)


@dataclass(frozen=True)
class Profile:
    """The least, the usual and the largest shape, each batch x height x width."""

    least: Shape3
    usual: Shape3
    largest: Shape3

    def __post_init__(self) -> None:
        rising = zip((1, 1, 1), self.least, self.usual, self.largest, strict=True)
        if any(list(sizes) != sorted(sizes) for sizes in rising):
            raise InvalidInput("profile", repr(str(self)), f"{FORM}, rising from 1")

    @classmethod
    def fixed(cls, height: int, width: int, batches: Sequence[int] = (1, 1, 1)) -> Self:
        """One size; only the batch moves."""
        least, usual, largest = ((batch, height, width) for batch in batches)
        return cls(least, usual, largest)

    @classmethod
    def parse(cls, text: str) -> Self:
        """A profile as `str` and the command line write it."""
        if match := _FIXED.fullmatch(text):
            height, width, *batches = match.groups()
            given = [int(batch) for batch in batches if batch is not None]
            return cls.fixed(int(height), int(width), given or (1, 1, 1))
        if match := _RANGE.fullmatch(text):
            numbers = tuple(map(int, match.groups()))
            return cls(numbers[0:3], numbers[3:6], numbers[6:9])  # type: ignore[arg-type]
        raise InvalidInput("profile", repr(text), FORM)

    def __str__(self) -> str:
        _, height, width = self.least
        if self.largest[1:] == (height, width):
            batches = ",".join(str(shape[0]) for shape in (self.least, self.usual, self.largest))
            return f"{height}x{width}:{batches}"
        return "-".join(_written(shape) for shape in (self.least, self.usual, self.largest))

    @property
    def pixels(self) -> int:
        """Pixels of its largest batch."""
        return int(np.prod(self.largest))

    def takes(self, shape: Shape3) -> bool:
        """Whether a batch of that size may run on it."""
        return self.nearest(shape) == shape

    def nearest(self, shape: Shape3) -> Shape3:
        """The shape that it takes which differs least."""
        batch, height, width = (
            min(max(size, least), largest)
            for size, least, largest in zip(shape, self.least, self.largest, strict=True)
        )
        return batch, height, width

    def shapes(self, tensor: str) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
        """Least, usual and largest shape of `ir` [B,H,W] or `vis` [B,H,W,3]."""
        channels = () if tensor == "ir" else (3,)
        return ((*self.least, *channels), (*self.usual, *channels), (*self.largest, *channels))


DEFAULT_PROFILES = (
    Profile.fixed(480, 640, (1, 1, 8)),
    Profile.fixed(512, 640, (1, 1, 8)),
    Profile.fixed(720, 1280, (1, 1, 4)),
    Profile.fixed(1080, 1920, (1, 1, 2)),
)
"""VGA, 640x512 thermal cameras and the two usual video sizes. The largest batches hold 2.5 to 4.1
million pixels, so that no profile needs much more memory than another."""

ONE_PROFILE = Profile((1, 480, 640), (1, 480, 640), (2, 1088, 1920))
"""For onnxruntime's providers, which build several profiles, but run the first one only
(microsoft/onnxruntime#31624). Scratch memory grows with the range: from 32x32 on it would be twice
as much."""

WORKSPACE = 4 << 30
"""The most scratch memory, in bytes, that TensorRT may plan with; it takes what a network needs.
Below its need a build fails. At full width `base` needs 2 GiB for the default profiles and 4 GiB
for ONE_PROFILE (benchmarks/results/trt-build-*.md)."""


@dataclass(frozen=True)
class Part:
    """What runs at once: ir [B,H,W] and vis [B,H,W,3], maybe larger than they came."""

    ir: UInt8Array
    vis: UInt8Array
    profile: int


def fit(
    profiles: Sequence[Profile], ir: UInt8Array, vis: UInt8Array, *, pad: bool = False
) -> list[Part]:
    """A batch as the profiles take it; ir [B,H,W], vis [B,H,W,3].

    A batch that is larger than any for its size comes in several parts. A size that no profile has
    is refused with the nearest one; with `pad` a smaller picture is mirrored at its right and lower
    border up to the next size instead.
    """
    if ir.ndim != 3 or vis.shape != (*ir.shape, 3):
        raise InvalidInput(
            "shape", f"ir {ir.shape} and vis {vis.shape}", "ir [B,H,W] and vis [B,H,W,3] alike"
        )
    batch, height, width = ir.shape
    shape = (batch, height, width)
    candidates = [
        (rows * columns, -most, number, rows, columns)
        for number, profile in enumerate(profiles)
        for most, rows, columns in [profile.nearest(shape)]
        if most <= batch and rows >= height and columns >= width
        if pad or (rows, columns) == (height, width)
    ]
    if not candidates:
        raise InvalidInput(
            "shape",
            f"{_written(shape)} (batch x height x width), which this engine was not built for",
            f"nearest {_written(nearest(profiles, shape))}; "
            f"profiles: {' '.join(map(str, profiles))}",
        )
    _, most, number, rows, columns = min(candidates)
    if -most < batch:
        return [
            *fit(profiles, ir[:-most], vis[:-most], pad=pad),
            *fit(profiles, ir[-most:], vis[-most:], pad=pad),
        ]
    if (rows, columns) != (height, width):
        border = ((0, 0), (0, rows - height), (0, columns - width))
        ir = np.pad(ir, border, mode="symmetric")
        vis = np.pad(vis, (*border, (0, 0)), mode="symmetric")
    return [Part(ir, vis, number)]


def joined(fused: Sequence[UInt8Array], ir: UInt8Array) -> UInt8Array:
    """The results [B,H,W,3] of all parts, as large as the batch ir [B,H,W] was."""
    whole = fused[0] if len(fused) == 1 else np.concatenate(fused)
    return np.ascontiguousarray(whole[:, : ir.shape[1], : ir.shape[2]])


def nearest(profiles: Sequence[Profile], shape: Shape3) -> Shape3:
    """The shape that differs least in size, then in batch, of all that the profiles take."""

    def apart(other: Shape3) -> tuple[int, int]:
        batches, heights, widths = (abs(a - b) for a, b in zip(shape, other, strict=True))
        return heights + widths, batches

    return min((profile.nearest(shape) for profile in profiles), key=apart)


def _written(shape: Shape3) -> str:
    return "x".join(map(str, shape))
