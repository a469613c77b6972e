"""Infrared that comes with three channels."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from crossfuse.errors import ImageError, UnknownName
from crossfuse.images import PALETTES, decode_infrared, palette_colours, to_single_channel

NAMED = [name for name in PALETTES if name != "luma"]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_equal_channels_are_one(dtype: Any, grey: Any) -> None:
    image: Any = grey.astype(dtype)
    assert to_single_channel(image) is image
    stacked: Any = np.dstack([image] * 3)
    single = to_single_channel(stacked, "jet")
    assert single.dtype == dtype
    assert np.array_equal(single, image)


def test_false_colour_is_refused_by_name(colour: Any) -> None:
    with pytest.raises(
        ImageError, match=r"^ir\.png: got a false-colour picture .*palette.*inferno"
    ):
        to_single_channel(colour, field="ir.png")


@pytest.mark.parametrize("palette", NAMED)
def test_a_palette_is_undone(palette: str, grey: Any) -> None:
    painted = palette_colours(palette)[grey]
    restored = to_single_channel(painted, palette)
    # Neighbouring entries of a palette may be the same colour, so the last level can be lost.
    assert np.abs(restored.astype(int) - grey).max() <= 3
    assert np.array_equal(palette_colours(palette)[restored], painted)


@pytest.mark.parametrize("palette", ["inferno", "jet", "turbo"])
def test_a_palette_is_undone_after_jpeg(palette: str, grey: Any) -> None:
    painted = np.ascontiguousarray(palette_colours(palette)[grey][..., ::-1])
    data = cv2.imencode(".jpg", painted, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    restored = decode_infrared(data, palette=palette)
    assert np.abs(restored.astype(int) - grey).mean() < 6


def test_more_colours_than_fit_one_table_of_distances() -> None:
    rng = np.random.default_rng(1)
    ramp = np.tile(np.arange(256, dtype=np.uint8), (160, 1))
    noise = rng.integers(-6, 7, (160, 256, 3))
    painted = np.clip(palette_colours("viridis")[ramp] + noise, 0, 255).astype(np.uint8)
    assert len(np.unique(painted.reshape(-1, 3), axis=0)) > 16384
    restored = to_single_channel(painted, "viridis").astype(int)
    table = palette_colours("viridis").astype(int)
    distances = ((painted[::16, :, None].astype(int) - table) ** 2).sum(-1)
    chosen = np.take_along_axis(distances, restored[::16, :, None], -1)[..., 0]
    assert np.array_equal(chosen, distances.min(-1))


def test_the_wrong_palette_is_noticed(grey: Any) -> None:
    with pytest.raises(ImageError, match="most are not in the palette 'bone'"):
        to_single_channel(palette_colours("jet")[grey], "bone")


def test_luma_keeps_the_dtype(colour: Any) -> None:
    luma = to_single_channel(colour, "luma")
    expected = colour @ np.array([0.299, 0.587, 0.114])
    assert np.abs(luma - expected).max() <= 1
    wide = to_single_channel(colour.astype(np.uint16) * 257, "luma")
    assert wide.dtype == np.uint16
    assert np.abs(wide / 257 - expected).max() <= 1


def test_16_bit_colour_has_no_palette(colour: Any) -> None:
    with pytest.raises(
        ImageError, match="16-bit picture with palette 'jet'; valid: 8 bits, or luma"
    ):
        to_single_channel(colour.astype(np.uint16) * 257, "jet")


def test_unknown_palette(grey: Any) -> None:
    with pytest.raises(UnknownName, match=r"palette: got 'infreno'; .*did you mean 'inferno'\?"):
        to_single_channel(grey, "infreno")
