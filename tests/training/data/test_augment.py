"""Augmentation: one geometry for all pictures of a pair, and what is meant for one stays there.

CROSSFUSE_AUGMENT_SEEDS sets the number of seeds; `make augmentation-campaign` runs 1,000.
"""

from __future__ import annotations

import os

import numpy as np
import pytest

from crossfuse.errors import InvalidInput
from crossfuse_training.data import (
    AugmentConfig,
    Cut,
    InfraredNoise,
    Misalign,
    Pair,
    Photometric,
    augment,
)

SEEDS = int(os.environ.get("CROSSFUSE_AUGMENT_SEEDS", "50"))
GEOMETRY = {
    "crop": AugmentConfig(crop=48),
    "whole": AugmentConfig(crop=64),
    "flip-horizontal": AugmentConfig(crop=48, flip_horizontal=1.0),
    "flip-vertical": AugmentConfig(crop=48, flip_vertical=1.0),
    "flips": AugmentConfig(crop=48, flip_horizontal=0.5, flip_vertical=0.5),
    "rotation": AugmentConfig(crop=48, rotation=10.0),
    "scale": AugmentConfig(crop=48, scale=0.2),
    "all": AugmentConfig(crop=64, flip_horizontal=0.5, flip_vertical=0.5, rotation=45, scale=0.5),
}
MISALIGN = {
    "shift": Misalign(1.0, pixels=20),
    "affine": Misalign(1.0, pixels=20, degrees=5, scale=0.05),
    "homography": Misalign(1.0, pixels=5, degrees=5, scale=0.05, corners=4),
}


def twins(image: np.ndarray) -> Pair:
    """A pair whose pictures are all equal."""
    return Pair("set", "stem", image.copy(), image.copy(), image.copy(), image.copy())


@pytest.fixture(scope="module")
def pair() -> Pair:
    """Equal pictures of 64x64, of noise: no two places look alike."""
    return twins(np.random.default_rng(0).integers(0, 256, (64, 64), dtype=np.uint8))


def cut(pair: Pair, config: AugmentConfig, seed: int, **size: int) -> Cut:
    return augment(pair, config, np.random.default_rng(seed), **size)


def assert_all_equal(made: Cut, first: np.ndarray) -> None:
    for image in (made.luma, made.background, made.aligned_ir, made.teacher):
        assert image is not None
        assert np.array_equal(image, first)


@pytest.mark.parametrize("name", GEOMETRY)
def test_equal_pictures_stay_equal(pair: Pair, name: str) -> None:
    different = set()
    for seed in range(SEEDS):
        made = cut(pair, GEOMETRY[name], seed)
        assert made.ir.shape == (GEOMETRY[name].crop,) * 2
        assert made.ir is made.aligned_ir
        assert_all_equal(made, made.ir)
        assert np.array_equal(made.ir, cut(pair, GEOMETRY[name], seed).ir)
        different.add(made.ir.tobytes())
    assert len(different) == 1 if name == "whole" else len(different) > 3


@pytest.mark.parametrize("name", MISALIGN)
def test_misalignment_moves_infrared_alone(pair: Pair, name: str) -> None:
    still = AugmentConfig(crop=48, rotation=5)
    moving = AugmentConfig(crop=48, rotation=5, misalign=MISALIGN[name])
    moved = 0
    for seed in range(SEEDS):
        made = cut(pair, moving, seed)
        assert_all_equal(made, cut(pair, still, seed).ir)
        moved += not np.array_equal(made.ir, made.aligned_ir)
    assert moved >= 0.95 * SEEDS


def test_misalignment_comes_as_often_as_asked(pair: Pair) -> None:
    config = AugmentConfig(crop=48, misalign=Misalign(0.3, pixels=20))
    made = [cut(pair, config, seed) for seed in range(400)]
    assert 80 <= sum(one.ir is not one.aligned_ir for one in made) <= 160


def test_a_shift_is_of_whole_pixels_up_to_the_limit() -> None:
    """The place of each pixel is its level, so that a shift can be read from the cut."""
    ramp = np.tile(np.arange(256, dtype=np.uint8), (256, 1))
    config = AugmentConfig(crop=64, misalign=Misalign(1.0, pixels=6))
    shifts = set()
    for seed in range(200):
        made = cut(twins(ramp), config, seed)
        inside = slice(6, -6)  # beyond the picture the levels turn back
        differences = (made.ir.astype(int) - made.aligned_ir)[inside, inside]
        if made.aligned_ir.min() >= 6 and made.aligned_ir.max() <= 249:
            assert np.unique(differences).size == 1
            shifts.add(int(differences[0, 0]))
    assert shifts == set(range(-6, 7))


def test_a_cut_is_the_part_of_the_picture_in_the_order_height_width() -> None:
    places = np.arange(48 * 80).reshape(48, 80)
    image = (places % 251).astype(np.uint8)
    made = cut(twins(image), AugmentConfig(), 3, height=40, width=72)
    assert made.ir.shape == (40, 72)
    found = [
        (top, left)
        for top in range(9)
        for left in range(9)
        if np.array_equal(image[top : top + 40, left : left + 72], made.ir)
    ]
    assert len(found) == 1


@pytest.mark.parametrize(
    ("changes", "mirrored"),
    [
        ({"flip_horizontal": 1.0}, (slice(None), slice(None, None, -1))),
        ({"flip_vertical": 1.0}, (slice(None, None, -1), slice(None))),
    ],
)
def test_a_flip_is_exact(
    pair: Pair, changes: dict[str, float], mirrored: tuple[slice, slice]
) -> None:
    made = cut(pair, AugmentConfig(crop=64, **changes), 0)  # type: ignore[arg-type]
    assert np.array_equal(made.luma, pair.luma[mirrored])


def test_borders_are_reflected() -> None:
    """A rotated picture of one level has no other level: nothing is filled in."""
    grey = twins(np.full((64, 64), 90, np.uint8))
    for seed in range(SEEDS):
        assert np.unique(cut(grey, GEOMETRY["all"], seed).luma).tolist() == [90]


@pytest.mark.parametrize("modality", ["ir", "vis"])
def test_levels_change_in_one_modality(pair: Pair, modality: str) -> None:
    change = Photometric(1.0, gain=0.2, offset=10, gamma=0.3)
    config = AugmentConfig(crop=64, **{f"photometric_{modality}": change})  # type: ignore[arg-type]
    for seed in range(SEEDS):
        made = cut(pair, config, seed)
        changed, kept = (made.ir, made.luma) if modality == "ir" else (made.luma, made.ir)
        assert np.array_equal(kept, pair.ir)
        assert not np.array_equal(changed, pair.ir)
        assert made.teacher is not None
        assert np.array_equal(made.teacher, pair.ir)
        assert np.array_equal(made.background, made.ir)
        order = np.argsort(pair.ir, axis=None)
        assert np.all(np.diff(changed.ravel()[order].astype(int)) >= 0)


def test_levels_follow_gain_and_offset() -> None:
    ramp = np.tile(np.arange(256, dtype=np.uint8), (64, 1))
    config = AugmentConfig(photometric_vis=Photometric(1.0, offset=30))
    made = cut(twins(ramp), config, 4, height=64, width=256)
    offset = int(made.luma[0, 128]) - 128
    assert 0 < abs(offset) <= 30
    assert np.array_equal(made.luma[0], np.clip(np.arange(256) + offset, 0, 255))


@pytest.mark.parametrize("kind", ["gaussian", "stripes"])
def test_noise_is_of_the_infrared_sensor(kind: str) -> None:
    grey = twins(np.full((128, 128), 120, np.uint8))
    noise = InfraredNoise(1.0, **{kind: 8.0})
    config = AugmentConfig(crop=128, infrared_noise=noise, misalign=Misalign(1.0, pixels=5))
    strengths = []
    for seed in range(SEEDS):
        made = cut(grey, config, seed)
        strengths.append(made.ir.std())
        assert np.array_equal(made.ir, made.aligned_ir)
        if strengths[-1] > 1:  # below, rounding may leave nothing
            by_column = np.array_equal(made.ir, np.tile(made.ir[0], (128, 1)))
            assert by_column == (kind == "stripes")
        for image in (made.luma, made.background, made.teacher):
            assert image is not None
            assert np.array_equal(image, grey.ir)
    assert min(strengths) < 2
    assert 6 < max(strengths) < 10


def test_nothing_is_done_by_default(pair: Pair) -> None:
    for seed in range(SEEDS):
        assert_all_equal(cut(pair, AugmentConfig(crop=64), seed), pair.ir)


def test_a_cut_larger_than_the_picture(pair: Pair) -> None:
    with pytest.raises(InvalidInput, match=r"crop: got 64x65; valid: .*set/stem"):
        cut(pair, AugmentConfig(crop=64), 0, height=64, width=65)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (AugmentConfig, {"crop": 16}),
        (AugmentConfig, {"rotation": -1.0}),
        (AugmentConfig, {"flip_horizontal": 1.5}),
        (AugmentConfig, {"scale": float("nan")}),
        (Misalign, {"probability": 2.0}),
        (InfraredNoise, {"gaussian": -1.0}),
        (Photometric, {"gain": 1.0}),
    ],
)
def test_values_out_of_range(kind: type, values: dict[str, float]) -> None:
    (name,) = values
    with pytest.raises(InvalidInput, match=rf"augment\..*{name}: got"):
        kind(**values)
