"""Reads the header of a PNG file and walks its chunks to the end."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from crossfuse.errors import ImageError
from crossfuse.images.formats.base import ImageHeader
from crossfuse.images.formats.exif import exif_orientation

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MAX_CHUNKS: Final = 65536
"""More chunks than any writer makes; bounds the time a hostile file can take."""

_DEPTHS: Final = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_GREY: Final = (0, 4)
_PALETTE: Final = 3
_ALPHA: Final = (4, 6)


def parse_png(data: bytes, field: str) -> ImageHeader:
    """Header of a PNG; the checksum of every chunk is verified on the way."""
    length, kind, width, height, depth, colour = struct.unpack_from(">I4sIIBB", data, 8)
    if kind != b"IHDR" or length != 13:
        raise ImageError(field, "a PNG that does not begin with IHDR", "a PNG with IHDR first")
    if depth not in _DEPTHS.get(colour, ()):
        raise ImageError(
            field, f"a PNG of colour type {colour} with {depth} bits", "a combination PNG defines"
        )
    alpha, animated, orientation, complete = colour in _ALPHA, False, 1, False
    at = len(SIGNATURE)
    for _ in range(MAX_CHUNKS):
        if at + 12 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        (checksum,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != checksum:
            raise ImageError(
                field, f"a damaged PNG (checksum of the chunk at byte {at})", "an intact file"
            )
        if kind == b"IEND":
            complete = True
            break
        alpha = alpha or kind == b"tRNS"
        animated = animated or kind == b"acTL"
        if kind == b"eXIf":
            orientation = exif_orientation(data[at + 8 : end - 4])
        at = end
    else:
        raise ImageError(field, f"a PNG of over {MAX_CHUNKS} chunks", f"at most {MAX_CHUNKS}")
    return ImageHeader(
        "PNG",
        width,
        height,
        1 if colour in _GREY else 3,
        depth,
        palette=colour == _PALETTE,
        alpha=alpha,
        animated=animated,
        orientation=orientation,
        complete=complete,
    )
