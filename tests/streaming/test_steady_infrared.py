"""The gain control of a thermal camera, undone."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from crossfuse.streaming.steady_infrared import SteadyInfrared

HEIGHT, WIDTH = 120, 160
FloatArray = NDArray[np.float64]


@pytest.fixture
def street() -> FloatArray:
    """A still scene of warm and cold patches, [H,W] in 40..120."""
    generator = np.random.default_rng(1)
    coarse = generator.uniform(40, 120, (HEIGHT // 10, WIDTH // 10))
    return np.asarray(np.kron(coarse, np.ones((10, 10))), np.float64)


def frame(scene: FloatArray, number: int, gain: float = 1.0, offset: float = 0.0) -> FloatArray:
    """The scene with noise and a hot body that walks through it."""
    shown = scene.copy()
    column = 5 + 2 * number
    shown[40:90, column : column + 12] = 200
    shown = gain * shown + offset
    noise = np.random.default_rng(number).normal(0, 1, shown.shape)
    return np.asarray(shown + noise, np.float64)


def as_picture(shown: FloatArray) -> NDArray[np.uint8]:
    return np.clip(np.rint(shown), 0, 255).astype(np.uint8)


def test_a_camera_without_jumps_is_left_alone(street: FloatArray) -> None:
    steady = SteadyInfrared()
    for number in range(40):
        picture = as_picture(frame(street, number))
        change = np.abs(steady.apply(picture).astype(int) - picture)
        assert change.mean() < 0.5
        assert change.max() <= 2


def test_a_jump_of_the_gain_does_not_reach_the_stream(street: FloatArray) -> None:
    steady = SteadyInfrared()
    raw, shown = [], []
    for number in range(40):
        gain, offset = (0.85, 6.0) if number % 20 >= 10 else (1.0, 0.0)
        picture = as_picture(frame(street, number, gain, offset))
        raw.append(picture[:30].mean())
        shown.append(steady.apply(picture)[:30].mean())
    assert np.abs(np.diff(raw)).max() > 5
    assert np.abs(np.diff(shown)).max() < 0.4


def test_a_trembling_gain_does_not_reach_the_stream(street: FloatArray) -> None:
    steady, noise = SteadyInfrared(), np.random.default_rng(3)
    raw, shown = [], []
    for number in range(60):
        gain = 1 + noise.normal(0, 0.02)
        picture = as_picture(frame(street, number, gain) + noise.normal(0, 5, street.shape))
        raw.append(picture[:30].mean())
        shown.append(steady.apply(picture)[:30].mean())
    assert np.diff(raw).std() > 1
    assert np.diff(shown).std() < 0.1 * np.diff(raw).std()


def test_a_camera_that_turns_keeps_its_contrast() -> None:
    generator = np.random.default_rng(2)
    panorama = cv2.resize(generator.uniform(30, 170, (6, 80)), (1600, HEIGHT))
    steady = SteadyInfrared()
    for number in range(240):
        seen = panorama[:, 5 * number : 5 * number + WIDTH] + generator.normal(
            0, 3, (HEIGHT, WIDTH)
        )
        picture = as_picture(seen)
        shown = steady.apply(picture)
    assert 0.9 < shown.std() / picture.std() < 1.1
    assert abs(shown.mean() - picture.mean()) < 10


def test_what_lasts_is_let_in(street: FloatArray) -> None:
    steady = SteadyInfrared()
    steady.apply(as_picture(street))
    warmer = as_picture(street + 20)
    first = steady.apply(warmer)
    assert np.abs(first.astype(int) - as_picture(street)).mean() < 1
    for _ in range(500):
        last = steady.apply(warmer)
    assert np.abs(last.astype(int) - warmer).mean() < 1


def test_a_new_scene_starts_anew(street: FloatArray) -> None:
    steady = SteadyInfrared()
    steady.apply(as_picture(street))
    steady.apply(as_picture(street + 20))
    other = as_picture(np.random.default_rng(7).uniform(0, 255, street.shape)[::-1])
    other = np.kron(other[::8, ::8], np.ones((8, 8), np.uint8))
    assert np.array_equal(steady.apply(other), other)


@pytest.mark.parametrize("level", [0, 7, 255])
def test_empty_pictures_stay_as_they_are(level: int) -> None:
    steady = SteadyInfrared()
    picture = np.full((HEIGHT, WIDTH), level, np.uint8)
    for _ in range(3):
        assert np.array_equal(steady.apply(picture), picture)
