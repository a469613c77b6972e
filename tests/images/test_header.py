"""The header is read right for every format, and any bytes end in a header or an ImageError."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from crossfuse.errors import ImageError
from crossfuse.images import ImageHeader, read_header

SIGNATURES = [
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    b"\xff\xd8\xff\xe0\0\x04",
    b"RIFF\x40\0\0\0WEBPVP8 ",
    b"RIFF\x40\0\0\0WEBPVP8L",
    b"RIFF\x40\0\0\0WEBPVP8X\x0a\0\0\0",
    b"II*\0\x08\0\0\0",
    b"MM\0*\0\0\0\x08",
    b"",
]


def fields(header: ImageHeader) -> tuple[int, int, int, int]:
    return header.width, header.height, header.channels, header.bit_depth


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("kind", ["grey", "colour"])
def test_plain_files(
    file_format: str, kind: str, request: pytest.FixtureRequest, save: Callable[..., bytes]
) -> None:
    header = read_header(save(request.getfixturevalue(kind), file_format))
    channels = 1 if kind == "grey" and file_format != "WEBP" else 3
    assert header.format.upper() == file_format
    assert fields(header) == (40, 24, channels, 8)
    assert header.complete
    assert not any((header.alpha, header.palette, header.animated, header.cmyk))


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_alpha(file_format: str, colour: Any, grey: Any, save: Callable[..., bytes]) -> None:
    header = read_header(save(np.dstack([colour, grey]), file_format))
    assert header.alpha
    assert header.channels == 3


@pytest.mark.parametrize("file_format", ["PNG", "TIFF"])
def test_palette(file_format: str, colour: Any, save: Callable[..., bytes]) -> None:
    header = read_header(save(Image.fromarray(colour).quantize(16), file_format))
    assert header.palette
    assert header.channels == 3


def test_transparent_colour_of_a_png_is_alpha(grey: Any, save: Callable[..., bytes]) -> None:
    assert read_header(save(grey, "PNG", transparency=0)).alpha


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_cmyk(file_format: str, colour: Any, save: Callable[..., bytes]) -> None:
    assert read_header(save(Image.fromarray(colour).convert("CMYK"), file_format)).cmyk


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "TIFF"])
def test_animated(file_format: str, colour: Any, save: Callable[..., bytes]) -> None:
    second = Image.fromarray(255 - colour)
    header = read_header(save(colour, file_format, save_all=True, append_images=[second]))
    assert header.animated
    assert fields(header)[:2] == (40, 24)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 6, 8])
def test_orientation(
    file_format: str, orientation: int, colour: Any, save: Callable[..., bytes]
) -> None:
    exif = Image.Exif()
    exif[274] = orientation
    header = read_header(save(colour, file_format, exif=exif.tobytes()))
    assert header.orientation == orientation
    assert header.upright_size == ((40, 24) if orientation == 1 else (24, 40))


def test_damaged_exif_is_upright(colour: Any, save: Callable[..., bytes]) -> None:
    exif = b"Exif\0\0II*\0\xff\xff\xff\xff"
    assert read_header(save(colour, "JPEG", exif=exif)).orientation == 1


@pytest.mark.parametrize("marker", sorted(set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}))
def test_every_jpeg_process(marker: int) -> None:
    frame = struct.pack(">BBHBHHB", 0xFF, marker, 17, 12, 480, 640, 3) + bytes(9)
    header = read_header(b"\xff\xd8\xff\xe0\0\x04xx\xff\xff" + frame + b"\xff\xda\0\x02\xff\xd9")
    assert fields(header) == (640, 480, 3, 12)
    assert header.complete


def test_jpeg_thumbnails_and_coded_data_hide_no_marker(
    colour: Any, save: Callable[..., bytes]
) -> None:
    thumbnail = save(colour[:8, :8], "JPEG")
    data = save(colour, "JPEG", progressive=True, quality=100, exif=b"Exif\0\0" + thumbnail)
    assert fields(read_header(data))[:2] == (40, 24)
    assert read_header(data + b"a trailer").complete
    assert not read_header(data[:-2]).complete


@pytest.mark.parametrize("byte_order", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_byte_orders(byte_order: str, dtype: type, grey: Any, make_tiff: Any) -> None:
    header = read_header(make_tiff(grey.astype(dtype), byte_order=byte_order))
    assert fields(header) == (40, 24, 1, 8 * np.dtype(dtype).itemsize)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 bytes"),
        (b"GIF89a" + bytes(20), "a GIF"),
        (b"BM" + bytes(20), "a BMP"),
        (b"II+\0" + bytes(20), "a BigTIFF"),
        (b"\0\0\0 ftypavif" + bytes(20), "an AVIF"),
        (b"hello, world", "12 bytes that begin as no picture does"),
        (b"\x89PNG\r\n\x1a\n", "truncated in its header (8 bytes)"),
        (b"RIFF\x04\0\0\0WEBP", "a WebP without a picture"),
        (b"\xff\xd8\xff\xd9", "a truncated JPEG"),
        (b"II*\0\xff\xff\xff\xff", "truncated in its header"),
    ],
)
def test_what_is_no_picture(data: bytes, said: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_header(data, field="a/b.png")
    assert said in str(caught.value)
    assert caught.value.field == "a/b.png"
    assert len(str(caught.value)) < 200


def test_other_formats_are_told_the_valid_ones() -> None:
    with pytest.raises(ImageError, match=r"^ir: got a GIF; valid: PNG, JPEG, WebP or TIFF$"):
        read_header(b"GIF89a", field="ir")


@pytest.mark.parametrize("size", [(0, 4), (4, 0)])
def test_zero_size(size: tuple[int, int], make_png: Any, make_tiff: Any) -> None:
    with pytest.raises(ImageError, match="at least 1x1"):
        read_header(make_png(*size, 8, 0, []))
    with pytest.raises(ImageError, match="at least 1x1"):
        read_header(make_tiff(np.zeros((4, 4), np.uint8), width=size[0], height=size[1]))


@pytest.mark.parametrize(("depth", "colour_type"), [(3, 0), (16, 3), (4, 2), (8, 5)])
def test_png_combinations_that_do_not_exist(depth: int, colour_type: int, make_png: Any) -> None:
    with pytest.raises(ImageError, match=f"colour type {colour_type} with {depth} bits"):
        read_header(make_png(4, 4, depth, colour_type, []))


@pytest.mark.parametrize(
    ("tags", "said"),
    [
        ({"sample_format": 3}, r"sample format \[3\]"),
        ({"bits": 12}, "12 bits"),
        ({"bits": [8, 16]}, r"\[8, 16\] bits"),
        ({"photometric": 8}, "photometric interpretation 8"),
        ({"samples": 7}, "7 samples per pixel"),
        ({"photometric": None}, "0 values of tag 262"),
        ({"width": [4, 4]}, "2 values of tag 256"),
        ({"rows_per_strip": 0}, "strips or tiles of 40x0"),
        ({"rows_per_strip": 2**31}, "strips or tiles of 40x2147483648"),
        ({"tile_width": 2**20, "tile_height": 2**20}, "tiles of 1048576x1048576"),
    ],
)
def test_tiff_kinds_that_are_refused(
    tags: dict[str, Any], said: str, grey: Any, make_tiff: Any
) -> None:
    with pytest.raises(ImageError, match=said):
        read_header(make_tiff(grey, **tags))


@pytest.mark.parametrize("tags", [{"photometric": 0}, {"planes": 2}])
def test_16_bit_tiffs_that_decoders_get_wrong(
    tags: dict[str, int], grey: Any, make_tiff: Any
) -> None:
    with pytest.raises(ImageError, match="a 16-bit TIFF with"):
        read_header(make_tiff(grey.astype(np.uint16), **tags))


def test_absurd_tiff_counts(grey: Any, make_tiff: Any) -> None:
    data = make_tiff(grey)
    at = data.rindex(struct.pack("<HHI", 279, 4, 1))
    with pytest.raises(ImageError, match="tag 279 reaching beyond the end"):
        read_header(data[: at + 4] + struct.pack("<I", 2**32 - 1) + data[at + 8 :])


def test_tiff_strips_beyond_the_end(grey: Any, make_tiff: Any) -> None:
    assert not read_header(make_tiff(grey, lengths=2**30)).complete
    assert not read_header(make_tiff(grey, rows_per_strip=1)).complete


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8\xff\xe0\0\x02" + b"\xff\xfe\0\x02" * 20000,
        b"RIFF\xff\xff\xff\x7fWEBP" + b"JUNK\0\0\0\0" * 2000,
    ],
)
def test_endless_segments_are_refused(data: bytes) -> None:
    with pytest.raises(ImageError, match="of over 1000"):
        read_header(data)


def test_a_bomb_of_chunks(make_png: Any) -> None:
    with pytest.raises(ImageError, match="over 65536 chunks"):
        read_header(make_png(4, 4, 8, 0, [], before=((b"tEXt", b""),) * 65536))


def test_a_bomb_of_scans(grey: Any, save: Callable[..., bytes]) -> None:
    data = save(grey, "JPEG", progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageError, match="scans; valid: at most 100 scans"):
        read_header(data[:-2] + scan * 200 + data[-2:])


@given(st.sampled_from(SIGNATURES), st.binary(max_size=400))
@example(b"II*\0\x08\0\0\0", b"\xff\xff" + b"\xff" * 24)
def test_any_bytes_end_in_a_header_or_an_image_error(signature: bytes, rest: bytes) -> None:
    try:
        header = read_header(signature + rest)
    except ImageError:
        return
    assert header.pixels > 0
    assert header.channels in (1, 3, 4)
    assert 1 <= header.orientation <= 8
