"""16-bit infrared to 8 bits, for pictures and for streams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse.images import (
    HeldMapping,
    LinearMapping,
    NoMapping,
    PercentileMapping,
    map_infrared,
    parse_mapping,
)


@pytest.fixture
def scene() -> Any:
    """A 14-bit scene of 200x100 between 7000 and 9000 with two hot pixels."""
    frame = np.random.default_rng(0).integers(7000, 9001, (100, 200)).astype(np.uint16)
    frame[50, 100:102] = 16000
    return frame


@pytest.mark.parametrize(
    ("text", "mapping"),
    [
        ("linear:0:65535", LinearMapping(0, 65535)),
        ("linear:7000:9000", LinearMapping(7000, 9000)),
        ("percentile:1:99", PercentileMapping()),
        ("percentile:0.5:99.5", PercentileMapping(0.5, 99.5)),
        ("none", NoMapping()),
    ],
)
def test_text_and_mapping_are_the_same(text: str, mapping: Any) -> None:
    assert parse_mapping(text) == mapping
    assert str(mapping) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "linear", "linear:1", "linear:2:1", "linear:5:5", "linear:-1:5", "linear:0:65536",
        "linear:a:b", "linear:0.5:9", "linear:1:2:3", "percentile:99:1", "percentile:0:101",
        "percentile:nan:99", "percentile:-1:99", "percentile:0:inf", "none:1", "Linear:1:2",
    ],
)  # fmt: skip
def test_bad_text_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_mapping(text, field="--ir-mapping")
    assert str(caught.value).startswith(f"--ir-mapping: got {text!r}; valid: linear:LO:HI with")


def test_linear(scene: Any) -> None:
    mapped = map_infrared(scene, LinearMapping(7000, 9000))
    expected = np.clip((scene.astype(float) - 7000) / 2000 * 255, 0, 255)
    assert mapped.dtype == np.uint8
    assert np.abs(mapped - expected).max() <= 0.5 + 1e-3


def test_percentile_limits_are_those_of_the_sorted_pixels(scene: Any) -> None:
    ordered = np.sort(scene.ravel())
    low, high = PercentileMapping(1, 99).limits(scene)
    assert (low, high) == (ordered[200 - 1], ordered[19800 - 1])
    assert PercentileMapping(0, 100).limits(scene) == (ordered[0], ordered[-1])


def test_default_ignores_a_few_hot_pixels(scene: Any) -> None:
    mapped = map_infrared(scene)
    assert mapped.min() == 0
    assert mapped[50, 100] == 255
    assert 120 < np.median(mapped) < 135


@given(
    st_numpy.arrays(np.uint16, st_numpy.array_shapes(min_dims=2, max_dims=2, max_side=12)),
    st.sampled_from([PercentileMapping(), PercentileMapping(0, 100), LinearMapping(100, 101)]),
)
def test_mapping_keeps_the_order_of_levels(frame: Any, mapping: Any) -> None:
    mapped = map_infrared(frame, mapping)
    assert mapped.shape == frame.shape
    order = np.argsort(frame.ravel(), kind="stable")
    assert (np.diff(mapped.ravel()[order].astype(int)) >= 0).all()


def test_flat_scene() -> None:
    flat = np.full((20, 30), 8000, np.uint16)
    assert map_infrared(flat).max() == 0
    flat[3, 3], flat[4, 4] = 9000, 7000
    assert map_infrared(flat)[3:5, 3:5].tolist() == [[255, 0], [0, 0]]


def test_views_with_strides(scene: Any) -> None:
    assert np.array_equal(map_infrared(scene[::2, ::3]), map_infrared(scene[::2, ::3].copy()))


def test_none_refuses_16_bits(scene: Any) -> None:
    with pytest.raises(
        InvalidInput, match=r"^ir: got a 16-bit picture with ir_mapping none; valid: 8"
    ):
        map_infrared(scene, NoMapping())
    with pytest.raises(InvalidInput, match=r"^ir: got a 16-bit"):
        HeldMapping(NoMapping()).apply(scene)


def test_8_bits_keep_their_levels(grey: Any) -> None:
    for mapping in (PercentileMapping(), LinearMapping(0, 10), NoMapping()):
        assert np.array_equal(map_infrared(grey, mapping), grey)
        assert np.array_equal(HeldMapping(mapping).apply(grey), grey)


def test_black_hot_is_inverted(grey: Any, scene: Any) -> None:
    assert np.array_equal(map_infrared(grey, polarity="black-hot"), 255 - grey)
    assert np.array_equal(map_infrared(scene, polarity="black-hot"), 255 - map_infrared(scene))
    held = HeldMapping(polarity="black-hot")
    assert np.array_equal(held.apply(scene), 255 - map_infrared(scene))


def test_unknown_polarity(grey: Any) -> None:
    with pytest.raises(UnknownName, match="polarity: got 'white'; valid: black-hot, white-hot"):
        map_infrared(grey, polarity="white")
    with pytest.raises(UnknownName, match="polarity"):
        HeldMapping(polarity="hot")


def test_a_stream_does_not_flicker_when_something_hot_enters(scene: Any) -> None:
    hot = scene.copy()
    hot[:20] = 14000
    held = HeldMapping()
    before = held.apply(scene)[60:]
    after = held.apply(hot)[60:]
    assert np.array_equal(before, map_infrared(scene)[60:])
    assert abs(after.mean() - before.mean()) < 8
    assert abs(map_infrared(hot)[60:].mean() - before.mean()) > 50


def test_a_stream_follows_a_scene_that_warms(scene: Any) -> None:
    held = HeldMapping()
    held.apply(scene)
    for _ in range(300):
        mapped = held.apply(scene + 3000)
    assert np.abs(mapped.astype(int) - map_infrared(scene + 3000)).max() <= 2


def test_a_closed_shutter_moves_nothing(scene: Any) -> None:
    held, shutter = HeldMapping(), np.full_like(scene, 8000)
    assert held.apply(shutter).max() == 0
    first = held.apply(scene)
    assert np.array_equal(first, map_infrared(scene))
    held.apply(shutter)
    assert np.array_equal(held.apply(scene), first)
