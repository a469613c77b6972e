"""Calibration from recordings of the two cameras, without anybody's help."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.calibration.geometry import Matrix, corner_error, resized
from crossfuse.calibration.recordings import Recording
from crossfuse.calibration.refine import COARSE, FINE, Refined, refine
from crossfuse.calibration.search import Candidate, search
from crossfuse.calibration.timing import Offset, offset_by_alignment, offset_by_motion

SEARCHED_PAIRS = 6
REFINED_PAIRS = 150
# An alignment that fits so well needs no second try with another guess of the offset.
CLEAR_FIT = 0.2
# Two alignments nearer than this, as a share of the width, are one.
SAME = 0.03


@dataclass(frozen=True, slots=True)
class Estimate:
    """What was found, and everything the decision to accept it rests on."""

    homography: Matrix
    """From infrared pixel positions to visible ones, of the cameras' own sizes."""
    offset: Offset | None
    """None where too little moves to tell."""
    spread: float
    """How far the corners lie apart that two halves of the frames give, in visible pixels."""
    uncertainty: float
    """Standard deviation of the least sure corner, in visible pixels."""
    fit: float
    """How well edges fit, -1 to 1."""
    rival: float
    """The fit of the best alignment that is a different one."""
    agreement: float
    """Share of the blocks of the picture that agree."""
    pairs: int


def estimate(ir: Recording, vis: Recording) -> Estimate | None:
    """Measure alignment and time offset; None where nothing in the pictures corresponds."""
    guess = offset_by_motion(ir, vis)
    best: tuple[float, float, list[Refined]] | None = None
    for seconds in dict.fromkeys((guess, 0.0)):
        if best is not None and best[0] >= CLEAR_FIT:
            break
        pairs = _pairs(ir, vis, seconds, SEARCHED_PAIRS)
        if pairs is None:
            continue
        refined = _candidates(*pairs)
        if refined and (best is None or refined[0].fit > best[0]):
            best = (refined[0].fit, seconds, refined)
    if best is None:
        return None
    _, seconds, refined = best
    coarse = refined[0].homography
    found = _fine(ir, vis, coarse, seconds, coarse)
    if found is not None and found[1] is None:
        # A time offset that a coarse alignment does not show, a fine one may.
        found = _fine(ir, vis, coarse, seconds, found[0].homography)
    if found is None:
        return None
    fine, offset, count = found
    small_ir, small_vis = ir.frames[0].shape[::-1], vis.frames[0].shape[::-1]
    enlarged = vis.size[0] / small_vis[0]
    homography = resized(small_vis, vis.size) @ fine.homography @ resized(ir.size, small_ir)
    return Estimate(
        homography=homography / homography[2, 2],
        offset=offset,
        spread=fine.spread * enlarged,
        uncertainty=math.inf if fine.uncertainty is None else fine.uncertainty * enlarged,
        fit=fine.fit,
        rival=_rival(refined, small_ir, small_vis[0]),
        agreement=fine.agreement,
        pairs=count,
    )


def _fine(
    ir: Recording, vis: Recording, coarse: Matrix, seconds: float, aligned: Matrix
) -> tuple[Refined, Offset | None, int] | None:
    """A finer alignment than a coarse one, the time offset of its pairs, and their number.

    The offset is the one that shows with the pictures `aligned`, else `seconds`.
    """
    offset = offset_by_alignment(ir, vis, aligned)
    pairs = _pairs(ir, vis, seconds if offset is None else offset.seconds, REFINED_PAIRS)
    refined = None if pairs is None else refine(coarse, *pairs, FINE)
    return None if pairs is None or refined is None else (refined, offset, len(pairs[0]))


def _pairs(
    ir: Recording, vis: Recording, offset: float, count: int
) -> tuple[list[UInt8Array], list[UInt8Array]] | None:
    """Pairs of frames of one moment, spread over what both recordings show."""
    near = 0.6 * max(ir.interval, vis.interval)
    infrared = [ir.near(float(time - offset)) for time in vis.times]
    usable = [
        (number, place)
        for place, number in enumerate(infrared)
        if abs(ir.times[number] + offset - vis.times[place]) <= near
    ]
    if len(usable) < 1:
        return None
    picked = np.unique(np.linspace(0, len(usable) - 1, min(count, len(usable))).round().astype(int))
    return (
        [ir.frames[usable[place][0]] for place in picked],
        [vis.frames[usable[place][1]] for place in picked],
    )


def _candidates(ir: Sequence[UInt8Array], vis: Sequence[UInt8Array]) -> list[Refined]:
    """The alignments of the coarse search, a step finer, best first."""
    found: list[Candidate] = search(ir, vis)
    refined = [refine(candidate.homography, ir, vis, COARSE) for candidate in found]
    good = [result for result in refined if result is not None]
    return sorted(good, key=lambda result: -result.fit)


def _rival(refined: Sequence[Refined], size: tuple[int, int], width: int) -> float:
    best = refined[0].homography
    others = [
        result.fit
        for result in refined[1:]
        if corner_error(best, result.homography, size) > SAME * width
    ]
    return max(others, default=0.0)
