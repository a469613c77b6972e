from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfuse.engines.tensorrt_profiles import (
    DEFAULT_PROFILES,
    ONE_PROFILE,
    Profile,
    fit,
    joined,
    nearest,
)
from crossfuse.errors import InvalidInput

shapes = st.tuples(st.integers(1, 6), st.integers(1, 90), st.integers(1, 90))
profiles = st.lists(
    st.lists(shapes, min_size=3, max_size=3).map(
        lambda three: Profile(*map(tuple, np.sort(np.array(three), axis=0).tolist()))
    ),
    min_size=1,
    max_size=4,
)


def blank(shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(shape, np.uint8), np.zeros((*shape, 3), np.uint8)


@pytest.mark.parametrize(
    ("text", "largest"),
    [
        ("480x640", (1, 480, 640)),
        ("480x640:1,2,8", (8, 480, 640)),
        ("1x32x32-1x480x640-2x1088x1920", (2, 1088, 1920)),
    ],
)
def test_the_forms(text: str, largest: tuple[int, int, int]) -> None:
    profile = Profile.parse(text)
    assert profile.largest == largest
    assert Profile.parse(str(profile)) == profile
    assert profile.shapes("vis")[2] == (*largest, 3)


@pytest.mark.parametrize(
    "text", ["", "640", "480x640:1", "480x640:2,1,4", "0x640", "2x32x32-1x32x32-2x32x32", "axb"]
)
def test_what_is_no_profile(text: str) -> None:
    with pytest.raises(InvalidInput, match="profile: got"):
        Profile.parse(text)


@given(profiles)
def test_every_profile_is_read_back(given_profiles: list[Profile]) -> None:
    for profile in given_profiles:
        assert Profile.parse(str(profile)) == profile


@given(profiles, shapes, st.booleans())
def test_a_batch_fits_or_is_refused(
    given_profiles: list[Profile], shape: tuple[int, int, int], pad: bool
) -> None:
    ir, vis = blank(shape)
    taken = any(profile.takes(shape) for profile in given_profiles)
    try:
        parts = fit(given_profiles, ir, vis, pad=pad)
    except InvalidInput:
        assert not taken
        near = nearest(given_profiles, shape)
        assert near != shape
        assert any(profile.takes(near) for profile in given_profiles)
        return
    assert sum(len(part.ir) for part in parts) == shape[0]
    if taken:
        assert len(parts) == 1
        assert parts[0].ir is ir
    for part in parts:
        batch, height, width = part.ir.shape
        assert given_profiles[part.profile].takes((batch, height, width))
        assert part.vis.shape == (batch, height, width, 3)
        assert height >= shape[1]
        assert width >= shape[2]
        if not pad:
            assert (height, width) == shape[1:]


def test_refusals_name_the_nearest() -> None:
    two = [Profile.fixed(32, 40, (1, 1, 3)), Profile.fixed(64, 64)]
    with pytest.raises(InvalidInput, match=r"got 2x30x40 .* nearest 2x32x40; profiles: 32x40:1,1"):
        fit(two, *blank((2, 30, 40)))
    with pytest.raises(InvalidInput, match=r"got 1x65x65 .* nearest 1x64x64"):
        fit(two, *blank((1, 65, 65)), pad=True)


def test_a_large_batch_comes_in_parts() -> None:
    ir = np.arange(8, dtype=np.uint8)[:, None, None] * np.ones((1, 32, 40), np.uint8)
    vis = np.repeat(ir[..., None], 3, axis=3)
    parts = fit([Profile.fixed(32, 40, (1, 1, 3))], ir, vis)
    assert [len(part.ir) for part in parts] == [3, 3, 2]
    np.testing.assert_array_equal(joined([part.vis for part in parts], ir), vis)


def test_padding_mirrors_and_keeps_the_picture() -> None:
    random = np.random.default_rng(0)
    ir = random.integers(0, 256, (1, 30, 50), dtype=np.uint8)
    vis = random.integers(0, 256, (1, 30, 50, 3), dtype=np.uint8)
    (fitted,) = fit([Profile.fixed(90, 90), Profile.fixed(32, 64)], ir, vis, pad=True)
    assert (fitted.profile, fitted.ir.shape) == (1, (1, 32, 64))
    np.testing.assert_array_equal(fitted.vis[:, :30, :50], vis)
    np.testing.assert_array_equal(fitted.ir[:, 30], fitted.ir[:, 29])


def test_the_default_profiles_are_what_cameras_give() -> None:
    assert [profile.usual for profile in DEFAULT_PROFILES] == [
        (1, 480, 640),
        (1, 512, 640),
        (1, 720, 1280),
        (1, 1080, 1920),
    ]
    pixels = [profile.pixels for profile in DEFAULT_PROFILES]
    assert max(pixels) < 2 * min(pixels)
    assert all(ONE_PROFILE.takes(profile.usual) for profile in DEFAULT_PROFILES)
