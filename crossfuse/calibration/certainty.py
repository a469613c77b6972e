"""What the blocks say about the rig, and how sure that is at the corners.

Blocks that lie off a homography do not scatter at random: lenses bend, near things stand off, and
neighbours are off together. So what a homography leaves is taken for a smooth field of unknown
strength and reach, and a rig for one of three kinds: with hardly more than scale, turn and shift,
with a tilt of a degree, or with pixels that are not square. All combinations are weighed by how
well they explain the blocks. Where the field is strong, or no block is near a corner, that corner
is unsure, however exactly each block was measured.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Prior spread of scale, turn and the two shifts, relative to half the picture's width.
SIMILAR = (0.15, 0.15, 0.2, 0.2)
# Kinds of rigs: how likely, and the prior spread of aspect and shear, and of the perspectives.
KINDS = ((0.85, 0.001, 0.002), (0.1, 0.003, 0.01), (0.05, 0.05, 0.03))
# The field: its strength in pixels, and how far it stays the same, relative to half the width.
# Smooth, but with breaks in its slope (Matern 3/2): things end, and others are behind them.
STRENGTHS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
REACHES = (0.7, 1.4)
# How exact a block of usual worth is, in pixels, beside the field.
NOISES = (0.2, 0.4, 0.8)
# Outliers are told apart from a field that may be as large as this.
ROUNDS, USUAL_STRENGTH, USUAL_REACH, USUAL_NOISE = 10, 1.6, 0.7, 0.4
# Blocks with hardly any edges one way still count a little there.
LEAST_WORTH = 0.01


@dataclass(frozen=True, slots=True)
class Belief:
    """The eight numbers of a rig, relative to half the width, and their covariance."""

    numbers: Floats
    covariance: Floats


def believe(design: Floats, targets: Floats, worths: Floats, places: Floats, half: float) -> Belief:
    """The numbers behind the targets of N blocks.

    design: Nx2x8, how each number moves a block; targets: Nx2, how far blocks are off; places: Nx2;
    all relative to half the width, which is `half` pixels. worths: Nx2x2, of usual trace 1.
    """
    count = len(targets)
    moves = design.reshape(2 * count, -1)
    off = targets.ravel()
    apart = np.linalg.norm(places[:, None] - places[None], axis=-1)
    trace = np.trace(worths, axis1=1, axis2=2)[:, None, None]
    scatter = np.linalg.inv(worths + LEAST_WORTH * trace * np.eye(2)) / 2
    weights = _weights(moves, off, worths, apart, scatter, half)
    scatter /= weights[:, None, None]
    priors = [
        (likely, np.square([*SIMILAR, *(2 * [square]), *(2 * [tilt])]))
        for likely, square, tilt in KINDS
    ]
    evidence, means, covariances = [], [], []
    for (likely, prior), reach, strength, noise in product(priors, REACHES, STRENGTHS, NOISES):
        rest = _field(apart, reach, strength / half) + _noise(scatter, noise / half)
        whole = (moves * prior) @ moves.T + rest
        root = np.linalg.cholesky(whole)
        solved = np.linalg.solve(whole, np.column_stack([off, moves * prior]))
        evidence.append(
            np.log(likely) - 0.5 * float(off @ solved[:, 0]) - float(np.log(np.diag(root)).sum())
        )
        gain = (moves * prior).T
        means.append(gain @ solved[:, 0])
        covariances.append(np.diag(prior) - gain @ solved[:, 1:])
    share = np.exp(np.array(evidence) - max(evidence))
    share /= share.sum()
    numbers = np.einsum("h,hk->k", share, np.array(means))
    beside = np.array(means) - numbers
    covariance = np.einsum("h,hkl->kl", share, np.array(covariances))
    covariance += np.einsum("h,hk,hl->kl", share, beside, beside)
    return Belief(numbers, covariance)


def _weights(
    moves: Floats, off: Floats, worths: Floats, apart: Floats, scatter: Floats, half: float
) -> Floats:
    """1 for blocks that go with their neighbours, less for those that do not."""
    prior = np.square([*SIMILAR, *(2 * [KINDS[-1][1]]), *(2 * [KINDS[-1][2]])])
    smooth = (moves * prior) @ moves.T + _field(apart, USUAL_REACH, USUAL_STRENGTH / half)
    weights = np.ones(len(worths))
    for _ in range(ROUNDS):
        noise = _noise(scatter / weights[:, None, None], USUAL_NOISE / half)
        left = (noise @ np.linalg.solve(smooth + noise, off)).reshape(-1, 2)
        distance = np.einsum("ni,nij,nj->n", left, worths, left) * (half / USUAL_NOISE) ** 2
        weights = 1 / (1 + distance / 4)
    return weights


def _field(apart: Floats, reach: float, strength: float) -> Floats:
    """The covariance of a smooth field at all blocks."""
    far = np.sqrt(3) * apart / reach
    return np.kron(strength**2 * (1 + far) * np.exp(-far), np.eye(2))


def _noise(scatter: Floats, noise: float) -> Floats:
    """The covariance of what is each block's own."""
    count = len(scatter)
    own = np.zeros((count, 2, count, 2))
    own[np.arange(count), :, np.arange(count)] = scatter * noise**2
    return own.reshape(2 * count, 2 * count)
