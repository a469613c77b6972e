"""What blocks say about a rig, and how sure they are of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from crossfuse.calibration.certainty import Belief, believe

Floats = NDArray[np.float64]

HALF = 160.0
CORNERS = np.array([[-1, -0.75], [1, -0.75], [1, 0.75], [-1, 0.75]])


def moves(places: Floats) -> Floats:
    """Nx2x8: scale, turn, two shifts, aspect, shear and two perspectives."""
    x, y = places.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    return np.stack(
        [
            np.stack([x, -y, one, zero, x, y, x * x, x * y], axis=1),
            np.stack([y, x, zero, one, -y, x, x * y, y * y], axis=1),
        ],
        axis=1,
    )


def belief(numbers: list[float], *, bent: float = 0.0, wide: float = 0.8, wrong: int = 0) -> Belief:
    """Of 48 blocks of a rig of these numbers, each exact to a third of a pixel.

    bent: pixels by which a field that no rig has moves them; wrong: blocks that are far off.
    """
    random = np.random.default_rng(3)
    x, y = np.meshgrid(np.linspace(-wide, wide, 8), 0.7 * np.linspace(-wide, wide, 6))
    places = np.stack([x.ravel(), y.ravel()], axis=1)
    off = moves(places) @ np.array(numbers) + random.normal(0, 0.3, places.shape) / HALF
    off[:, 0] += bent * np.sin(4 * places[:, 0]) / HALF
    off[:, 1] += bent * np.cos(3 * places[:, 0]) / HALF
    off[:wrong] += 8 / HALF
    return believe(moves(places), off, np.tile(np.eye(2) / 2, (len(places), 1, 1)), places, HALF)


def error(found: Belief, numbers: list[float]) -> float:
    """Pixels by which the worst corner is off."""
    left = moves(CORNERS) @ (found.numbers - np.array(numbers)) * HALF
    return float(np.linalg.norm(left, axis=1).max())


def unsure(found: Belief) -> float:
    """Pixels by which the worst corner may be off."""
    moved = moves(CORNERS)
    return float(HALF * np.sqrt(np.einsum("nik,kl,nil->n", moved, found.covariance, moved).max()))


def test_plain_tilted_and_stretched_rigs_are_believed() -> None:
    plain = [0.02, -0.01, 0.05, 0.01, 0, 0, 0, 0]
    tilted = [0.02, -0.01, 0.05, 0.01, 0, 0, 0.012, -0.01]
    stretched = [0.02, -0.01, 0.05, 0.01, 0.03, 0, 0, 0]
    for numbers in (plain, tilted, stretched):
        found = belief(numbers)
        assert error(found, numbers) < 1
        assert unsure(found) < 1.2


def test_a_field_that_no_rig_has_makes_corners_unsure() -> None:
    numbers = [0.02, -0.01, 0.05, 0.01, 0, 0, 0, 0]
    straight, bent = belief(numbers), belief(numbers, bent=3)
    assert unsure(bent) > 2.5 * unsure(straight)
    assert error(bent, numbers) < 2.5 * unsure(bent)


def test_blocks_in_the_middle_alone_leave_corners_unsure() -> None:
    numbers = [0.02, -0.01, 0.05, 0.01, 0, 0, 0, 0]
    assert unsure(belief(numbers, wide=0.3)) > 2 * unsure(belief(numbers))


def test_blocks_that_go_with_no_other_do_not_count() -> None:
    numbers = [0.02, -0.01, 0.05, 0.01, 0, 0, 0, 0]
    assert error(belief(numbers, wrong=3), numbers) < 2
