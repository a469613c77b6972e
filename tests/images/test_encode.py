"""Pictures to bytes and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse.images import ENCODINGS, decode, encode, read_header


@given(
    st_numpy.arrays(
        np.uint8,
        st.tuples(st.integers(1, 30), st.integers(1, 30))
        | st.tuples(st.integers(1, 30), st.integers(1, 30), st.just(3)),
    )
)
def test_png_is_lossless(image: Any) -> None:
    assert np.array_equal(decode(encode(image)), image)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("kind", ["grey", "colour"])
def test_every_encoding(encoding: str, kind: str, request: pytest.FixtureRequest) -> None:
    image = request.getfixturevalue(kind)
    data = encode(image, encoding, quality=100)
    assert read_header(data).format.lower() == encoding
    decoded = decode(data)
    expected = np.dstack([image] * 3) if encoding == "webp" and kind == "grey" else image
    assert decoded.shape == expected.shape
    assert np.abs(decoded.astype(int) - expected).max() <= 12


@pytest.mark.parametrize("encoding", ["jpeg", "webp"])
def test_quality_costs_bytes(encoding: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    sizes = [len(encode(noise, encoding, quality=quality)) for quality in (10, 50, 95)]
    assert sizes == sorted(set(sizes))


def test_views_are_encoded_as_seen(colour: Any) -> None:
    assert np.array_equal(decode(encode(colour[::-1, ::2])), colour[::-1, ::2])


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.zeros((4, 4), np.uint16), "uint16 of shape"),
        (np.zeros((4, 4, 4), np.uint8), r"uint8 of shape \(4, 4, 4\)"),
        (np.zeros(4, np.uint8), r"uint8 of shape \(4,\)"),
        (np.zeros((0, 4), np.uint8), "a size of 4x0; valid: sides of 1 to"),
    ],
)
def test_what_is_no_picture(image: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"^image: got {said}"):
        encode(image)


@pytest.mark.parametrize(("encoding", "limit"), [("webp", 16383), ("jpeg", 65500)])
def test_sides_a_format_cannot_hold(encoding: str, limit: int) -> None:
    encode(np.zeros((1, limit), np.uint8), encoding)
    with pytest.raises(InvalidInput, match=f"{limit + 1}x1; valid: sides of 1 to {limit}"):
        encode(np.zeros((1, limit + 1), np.uint8), encoding)


def test_unknown_encoding_and_quality(grey: Any) -> None:
    with pytest.raises(UnknownName, match="encoding: got 'jpg'; valid: jpeg, png, webp"):
        encode(grey, "jpg")
    with pytest.raises(InvalidInput, match="quality: got 101; valid: 1 to 100"):
        encode(grey, "jpeg", quality=101)
