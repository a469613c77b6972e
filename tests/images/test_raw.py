"""Raw pixels: exact length, little-endian, no copy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossfuse.errors import ImageError
from crossfuse.images import decode_raw


@given(
    st.integers(1, 20),
    st.integers(1, 20),
    st.sampled_from([1, 3]),
    st.sampled_from(["uint8", "uint16"]),
)
def test_what_goes_in_comes_out(width: int, height: int, channels: int, dtype: str) -> None:
    shape = (height, width) if channels == 1 else (height, width, channels)
    image = (np.arange(height * width * channels) * 251 % 65536).astype(dtype).reshape(shape)
    data = image.astype(image.dtype.newbyteorder("<")).tobytes()
    decoded = decode_raw(data, width=width, height=height, channels=channels, dtype=dtype)
    assert decoded.dtype == np.dtype(dtype)
    assert np.array_equal(decoded, image)


def test_nothing_is_copied() -> None:
    data = bytes(range(12))
    decoded = decode_raw(data, width=4, height=3, channels=1, dtype=np.uint8)
    assert np.shares_memory(decoded, np.frombuffer(data, np.uint8))
    assert not decoded.flags.writeable


def test_16_bits_are_little_endian() -> None:
    decoded = decode_raw(b"\x01\x02", width=1, height=1, channels=1, dtype=np.uint16)
    assert decoded.tolist() == [[0x0201]]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"width": 0}, "a picture of 0x3; valid: at least 1x1"),
        ({"height": -3}, "a picture of 4x-3"),
        ({"width": 5000, "height": 5000}, "25000000 pixels; valid: at most 16777216"),
        ({"channels": 2}, "2 channels; valid: 1 or 3"),
        ({"dtype": np.float32}, "dtype float32; valid: uint8 or uint16"),
        ({"dtype": np.int8}, "dtype int8"),
        ({"width": 5}, r"12 bytes of raw data; valid: 15 bytes \(5x3, 1 channels, uint8\)"),
        ({"dtype": np.uint16}, "valid: 24 bytes"),
        ({"max_pixels": 11}, "at most 11 pixels"),
    ],
)
def test_what_does_not_fit_is_refused(changed: dict[str, Any], said: str) -> None:
    described: dict[str, Any] = {
        "width": 4,
        "height": 3,
        "channels": 1,
        "dtype": np.uint8,
    } | changed
    with pytest.raises(ImageError, match=f"^vis: got .*{said}"):
        decode_raw(bytes(12), field="vis", **described)
