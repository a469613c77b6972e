"""Reads the header of a classic TIFF file of either byte order."""

from __future__ import annotations

import math
import struct
from typing import Final

import numpy as np

from crossfuse.errors import ImageError
from crossfuse.images.formats.base import ImageHeader
from crossfuse.images.formats.ifd import ORIENTATION, BadDirectory, Directory, read_directory

SIGNATURES: Final = (b"II*\0", b"MM\0*")
BIG_SIGNATURES: Final = (b"II+\0", b"MM\0+")
MAX_BLOCK_PIXELS: Final = 2**26
"""Decoders allocate one whole strip or tile, which may be declared larger than the picture."""

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 256, 257, 258, 259, 262, 277
_STRIP_OFFSETS, _ROWS_PER_STRIP, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
_PLANES, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 284, 338, 339
_ALL_ROWS = 2**32 - 1
_UNCOMPRESSED = 1
_UNSIGNED_INTEGER = 1
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR = 0, 1, 2, 3, 5, 6
_COLOUR_SAMPLES: Final = {
    _WHITE_IS_ZERO: 1, _BLACK_IS_ZERO: 1, _RGB: 3, _PALETTE: 1, _CMYK: 4, _YCBCR: 3,
}  # fmt: skip
_UNSPECIFIED, _ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA = 0, 1, 2


def parse_tiff(data: bytes, field: str) -> ImageHeader:
    """Header of the first page; kinds of TIFF that decoders get wrong are refused by name."""
    try:
        tags = read_directory(data)
        if tags.fault:
            raise BadDirectory(tags.fault)
        return _header(tags, field)
    except BadDirectory as error:
        raise ImageError(field, f"a TIFF with {error}", "an intact file") from None


def with_opaque_alpha(data: bytes) -> bytes:
    """The same file with its alpha declared as already multiplied into the colours.

    Decoders multiply colours by an alpha that is declared otherwise; we drop alpha instead.
    """
    directory = read_directory(data)
    if directory.integer(_EXTRA_SAMPLES, _UNSPECIFIED) != _UNASSOCIATED_ALPHA:
        return data
    kind, _, offset = directory.entries[_EXTRA_SAMPLES]
    value = struct.pack(directory.byte_order + {1: "B", 3: "H", 4: "I"}[kind], _ASSOCIATED_ALPHA)
    return data[:offset] + value + data[offset + len(value) :]


def _header(tags: Directory, field: str) -> ImageHeader:
    width, height = tags.integer(_WIDTH), tags.integer(_HEIGHT)
    samples, photometric = tags.integer(_SAMPLES, 1), tags.integer(_PHOTOMETRIC)
    if photometric not in _COLOUR_SAMPLES:
        raise ImageError(
            field,
            f"a TIFF of photometric interpretation {photometric}",
            "grey, RGB, palette or YCbCr (0 to 3, 6)",
        )
    extra = samples - _COLOUR_SAMPLES[photometric]
    if extra not in (0, 1) or tags.integer(_EXTRA_SAMPLES, _UNSPECIFIED) > _UNASSOCIATED_ALPHA:
        raise ImageError(
            field,
            f"a TIFF of {samples} samples per pixel with photometric interpretation {photometric}",
            f"{_COLOUR_SAMPLES[photometric]}, or one more for alpha",
        )
    depth = _depth(tags, field)
    planes = tags.integer(_PLANES, 1)
    grey = photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
    if depth not in ((1, 8, 16) if grey else (8, 16) if photometric == _RGB else (8,)):
        raise ImageError(
            field,
            f"a TIFF of {depth} bits with photometric interpretation {photometric}",
            "1 (grey only), 8 or 16 bits (grey and RGB only)",
        )
    if depth == 16 and (photometric == _WHITE_IS_ZERO or planes != 1 or samples == 2):
        raise ImageError(
            field,
            "a 16-bit TIFF with zero as white, separate planes or grey with alpha",
            "zero as black, interleaved channels, no alpha beside grey",
        )
    return ImageHeader(
        "TIFF",
        width,
        height,
        3 if photometric == _PALETTE else _COLOUR_SAMPLES[photometric],
        depth,
        palette=photometric == _PALETTE,
        alpha=extra == 1,
        animated=tags.next_offset != 0,
        cmyk=photometric == _CMYK,
        orientation=_orientation(tags),
        complete=_is_complete(tags, samples * depth, samples if planes == 2 else 1, field),
    )


def _depth(tags: Directory, field: str) -> int:
    """Bits per sample of unsigned integers, the same in every channel."""
    formats = np.unique(tags.integers(_SAMPLE_FORMAT)).tolist()
    depths = np.unique(tags.integers(_BITS)).tolist() or [1]
    if formats not in ([], [_UNSIGNED_INTEGER]) or len(depths) > 1:
        raise ImageError(
            field,
            f"a TIFF of sample format {formats or [_UNSIGNED_INTEGER]} and {depths} bits",
            "unsigned integers (1) of the same 1, 8 or 16 bits in every channel",
        )
    return int(depths[0])


def _orientation(tags: Directory) -> int:
    value = tags.integer(ORIENTATION, 1)
    return value if 1 <= value <= 8 else 1


def _is_complete(tags: Directory, bits_per_pixel: int, planes: int, field: str) -> bool:
    """Whether every strip or tile the size asks for lies inside the file.

    OpenCV fills what an 8-bit TIFF lacks with black and says nothing.
    """
    width, height = tags.integer(_WIDTH), tags.integer(_HEIGHT)
    if _TILE_WIDTH in tags.entries:
        block = tags.integer(_TILE_WIDTH), tags.integer(_TILE_HEIGHT)
        offsets, lengths = tags.integers(_TILE_OFFSETS), tags.integers(_TILE_BYTES)
    else:
        rows = tags.integer(_ROWS_PER_STRIP, _ALL_ROWS)
        block = width, height if rows == _ALL_ROWS else rows
        offsets, lengths = tags.integers(_STRIP_OFFSETS), tags.integers(_STRIP_BYTES)
    if 0 in block or block[0] * block[1] > max(MAX_BLOCK_PIXELS, width * height):
        raise ImageError(
            field,
            f"a TIFF in strips or tiles of {block[0]}x{block[1]}",
            f"at least 1x1 and at most {MAX_BLOCK_PIXELS} pixels each",
        )
    blocks = math.ceil(width / block[0]) * math.ceil(height / block[1]) * planes
    if len(offsets) < blocks or len(lengths) != len(offsets):
        return False
    if np.any(offsets + lengths > len(tags.data)):
        return False
    coded = tags.integer(_COMPRESSION, _UNCOMPRESSED) != _UNCOMPRESSED
    return coded or int(lengths.sum()) >= width * bits_per_pixel // 8 * height
