"""Whether a file turns smooth ramps into steps, which a sum of squares hardly sees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse_export.errors import QualityMissed
from crossfuse_export.pictures import in_colour
from crossfuse_export.quality import Runner

HEIGHT, WIDTH = 64, 640
LEAST_LEVELS = 0.9
"""Share of the network's grey levels along a ramp that the file must keep."""
LONGEST_RUN = 1.5
"""How many times as long as the network's the longest stretch of one level may be."""
SPARE_PIXELS = 4


@dataclass(frozen=True)
class Steps:
    """A row of a picture: how many grey levels it has, and its longest stretch of one level."""

    levels: int
    longest_run: int


def steps(row: UInt8Array) -> Steps:
    """The steps in a row of grey levels, [W]."""
    edges = np.flatnonzero(np.diff(row)) + 1
    runs = np.diff(np.concatenate([[0], edges, [row.size]]))
    return Steps(levels=len(np.unique(row)), longest_run=int(runs.max()))


def ramps() -> Iterator[tuple[str, UInt8Array, UInt8Array]]:
    """Name, ir [H,W] and vis [H,W,3]: slopes of one picture over the other flat, and of both."""
    flat = np.full((HEIGHT, WIDTH), 96, np.uint8)
    for low, high in ((0, 255), (80, 160)):
        row = np.rint(np.linspace(low, high, WIDTH)).astype(np.uint8)
        slope = np.tile(row, (HEIGHT, 1))
        for name, ir, grey in (
            ("visible", flat, slope),
            ("infrared", slope, flat),
            ("both", slope, slope),
        ):
            yield f"{name} ramp {low} to {high}", ir, in_colour(grey)


def check_banding(reference: Runner, run: Runner) -> None:
    """Refuse a file that loses levels of a ramp, or holds one for too long, against another."""
    for name, ir, vis in ramps():
        expected, received = (
            steps(runner(ir[None], vis[None])[0, HEIGHT // 2, :, 0]) for runner in (reference, run)
        )
        if received.levels < LEAST_LEVELS * expected.levels:
            raise QualityMissed(
                f"{name}: got {received.levels} grey levels; valid: at least "
                f"{LEAST_LEVELS:.0%} of {expected.levels}"
            )
        limit = LONGEST_RUN * expected.longest_run + SPARE_PIXELS
        if received.longest_run > limit:
            raise QualityMissed(
                f"{name}: got one grey level for {received.longest_run} pixels; valid: at most "
                f"{limit:g}, from {expected.longest_run} in fp32"
            )
