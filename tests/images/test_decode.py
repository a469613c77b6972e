"""Every accepted file becomes the picture it holds."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from crossfuse.errors import ImageError
from crossfuse.images import decode, decode_infrared, decode_visible, read_infrared, read_visible

LOSSY = {"JPEG": {"quality": 100}, "WEBP": {"quality": 100}}
FORMATS = ["PNG", "JPEG", "WEBP", "TIFF"]


def difference(one: Any, other: Any) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize("file_format", FORMATS)
def test_colour_comes_as_rgb(file_format: str, colour: Any, save: Callable[..., bytes]) -> None:
    decoded = decode(save(colour, file_format, **LOSSY.get(file_format, {})))
    assert decoded.dtype == np.uint8
    assert decoded.flags.c_contiguous
    assert difference(decoded, colour) <= (12 if file_format in LOSSY else 0)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "TIFF"])
def test_grey_stays_grey(file_format: str, grey: Any, save: Callable[..., bytes]) -> None:
    decoded = decode_visible(save(grey, file_format, **LOSSY.get(file_format, {})))
    assert difference(decoded, grey) <= (3 if file_format in LOSSY else 0)


@pytest.mark.parametrize("extension", [".png", ".tiff"])
@pytest.mark.parametrize("kind", ["grey", "colour"])
def test_16_bits(extension: str, kind: str, request: pytest.FixtureRequest) -> None:
    wide = request.getfixturevalue(kind).astype(np.uint16) * 257
    stored = wide if kind == "grey" else wide[..., ::-1]
    decoded = decode(cv2.imencode(extension, stored)[1].tobytes())
    assert decoded.dtype == np.uint16
    assert np.array_equal(decoded, wide)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_png_of_few_bits_spans_the_whole_range(depth: int, make_png: Any) -> None:
    row = b"\0" + bytes([0b00011011] * depth)
    levels = np.unique(decode(make_png(8, 8, depth, 0, [row] * 8)))
    assert set(levels.tolist()) <= {value * 255 // (2**depth - 1) for value in range(2**depth)}
    assert len(levels) > 1


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_alpha_is_dropped_and_colours_stay(
    file_format: str, colour: Any, grey: Any, save: Callable[..., bytes]
) -> None:
    options = {"lossless": True, "exact": True} if file_format == "WEBP" else {}
    decoded = decode(save(np.dstack([colour, grey]), file_format, **options))
    assert np.array_equal(decoded, colour)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_alpha_beside_grey_is_dropped(
    file_format: str, grey: Any, save: Callable[..., bytes]
) -> None:
    channels = Image.fromarray(grey), Image.fromarray(255 - grey)
    assert np.array_equal(decode(save(Image.merge("LA", channels), file_format)), grey)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_indexed_colours_are_looked_up(
    file_format: str, colour: Any, save: Callable[..., bytes]
) -> None:
    indexed = Image.fromarray(colour).quantize(16)
    assert np.array_equal(decode(save(indexed, file_format)), np.asarray(indexed.convert("RGB")))


def test_transparent_index_is_dropped(colour: Any, save: Callable[..., bytes]) -> None:
    indexed = Image.fromarray(colour).quantize(16)
    expected = np.asarray(indexed.convert("RGB"))
    assert np.array_equal(decode(save(indexed, "PNG", transparency=3)), expected)


@pytest.mark.parametrize("compression", [None, "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_tiff_compressions(
    compression: str | None, colour: Any, save: Callable[..., bytes]
) -> None:
    assert np.array_equal(decode(save(colour, "TIFF", compression=compression)), colour)


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_of_either_byte_order(
    byte_order: str, dtype: type, grey: Any, colour: Any, make_tiff: Any
) -> None:
    for image in (grey.astype(dtype) * dtype(3), colour.astype(dtype) * dtype(3)):
        assert np.array_equal(decode(make_tiff(image, byte_order=byte_order)), image)


def test_tiff_of_separate_planes(colour: Any, make_tiff: Any) -> None:
    planes = np.moveaxis(colour, 2, 0).copy()
    offsets = [8 + number * 960 for number in range(3)]
    data = make_tiff(
        planes.reshape(72, 40), height=24, rows_per_strip=24, samples=3, bits=[8, 8, 8],
        photometric=2, planes=2, offsets=offsets, lengths=[960] * 3,
    )  # fmt: skip
    assert np.array_equal(decode(data), colour)


def test_tiff_with_white_as_zero(grey: Any, make_tiff: Any) -> None:
    assert np.array_equal(decode(make_tiff(grey, photometric=0)), 255 - grey)


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_obeyed(
    file_format: str, orientation: int, colour: Any, save: Callable[..., bytes]
) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    options = {"lossless": True} if file_format == "WEBP" else LOSSY.get(file_format, {})
    data = save(colour, file_format, exif=exif.tobytes(), **options)
    upright = Image.fromarray(colour)
    upright.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(upright))
    assert difference(decode(data), expected) <= (12 if file_format == "JPEG" else 0)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_16_bit_tiff(orientation: int, grey: Any, make_tiff: Any) -> None:
    upright = Image.fromarray(grey)
    upright.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(upright)).astype(np.uint16)
    data = make_tiff(grey.astype(np.uint16), orientation=orientation)
    assert np.array_equal(decode(data), expected)


def test_visible_of_16_bits_is_refused(grey: Any, save: Callable[..., bytes]) -> None:
    with pytest.raises(ImageError, match="vis: got a visible picture of 16 bits"):
        decode_visible(save(grey.astype(np.uint16), "PNG"))


def test_infrared_of_8_and_16_bits(grey: Any, save: Callable[..., bytes]) -> None:
    for image in (grey, grey.astype(np.uint16) * 100):
        decoded = decode_infrared(save(image, "PNG"))
        assert decoded.dtype == image.dtype
        assert np.array_equal(decoded, image)


@pytest.mark.parametrize("file_format", FORMATS)
def test_infrared_of_three_equal_channels(
    file_format: str, grey: Any, save: Callable[..., bytes]
) -> None:
    decoded = decode_infrared(save(np.dstack([grey] * 3), file_format, quality=50))
    assert difference(decoded, grey) <= (12 if file_format in LOSSY else 0)


def test_a_png_with_huge_text(grey: Any, make_png: Any) -> None:
    rows = [b"\0" + row.tobytes() for row in grey]
    text = (
        (b"tEXt", b"note\0" + b"a" * 20_000_000),
        (b"zTXt", b"z\0\0" + zlib.compress(bytes(10**7))),
    )
    assert np.array_equal(decode(make_png(40, 24, 8, 0, rows, before=text)), grey)


@pytest.mark.data
def test_real_pairs(data_dir: Path) -> None:
    for folder in ("msrs", "roadscene", "tno_golden"):
        ir_path = sorted((data_dir / folder / "ir").iterdir())[0]
        vis_path = next((data_dir / folder / "vis").glob(f"{ir_path.stem}.*"))
        ir, vis = read_infrared(ir_path), read_visible(vis_path)
        assert ir.shape == vis.shape[:2]
        assert ir.dtype == vis.dtype == np.uint8
