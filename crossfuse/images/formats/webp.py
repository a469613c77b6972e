"""Reads the header of a WebP file: lossy, lossless and extended."""

from __future__ import annotations

import struct
from typing import Final

from crossfuse.errors import ImageError
from crossfuse.images.formats.base import ImageHeader
from crossfuse.images.formats.exif import exif_orientation

MAX_CHUNKS: Final = 1000
_ALPHA, _ANIMATION = 0x10, 0x02


def is_webp(data: bytes) -> bool:
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP"


def parse_webp(data: bytes, field: str) -> ImageHeader:
    """Header of a WebP; the canvas and the frame in it must agree on the size."""
    end = 8 + int.from_bytes(data[4:8], "little")
    canvas: tuple[int, int] | None = None
    frame: tuple[int, int] | None = None
    alpha, animated, orientation, complete = False, False, 1, end <= len(data)
    at = 12
    for _ in range(MAX_CHUNKS):
        if at + 8 > min(end, len(data)):
            break
        kind, length = struct.unpack_from("<4sI", data, at)
        body = at + 8
        complete = complete and body + length <= end
        if kind == b"VP8X" and canvas is None:
            flags, *low_high = struct.unpack_from("<B3xHBHB", data, body)
            alpha, animated = bool(flags & _ALPHA), bool(flags & _ANIMATION)
            canvas = _canvas(*low_high)
        elif kind in (b"VP8 ", b"VP8L") and frame is None:
            frame, has_alpha = _read_frame(data, kind, body, field)
            alpha = alpha or has_alpha
        elif kind == b"EXIF":
            orientation = exif_orientation(data[body : body + length])
        at = body + length + length % 2
    else:
        raise ImageError(field, f"a WebP of over {MAX_CHUNKS} chunks", f"at most {MAX_CHUNKS}")
    size = canvas or frame
    if size is None or (frame is None and not animated):
        raise ImageError(field, f"a WebP without a picture in {len(data)} bytes", "the whole file")
    if frame is not None and frame != size:
        raise ImageError(
            field,
            f"a WebP whose canvas is {size[0]}x{size[1]} and whose picture {frame[0]}x{frame[1]}",
            "one size in both places",
        )
    return ImageHeader(
        "WebP",
        *size,
        channels=3,
        bit_depth=8,
        alpha=alpha,
        animated=animated,
        orientation=orientation,
        complete=complete,
    )


def _read_frame(data: bytes, kind: bytes, at: int, field: str) -> tuple[tuple[int, int], bool]:
    """Size of one coded picture, and whether it uses alpha."""
    if kind == b"VP8L":
        signature, bits = struct.unpack_from("<BI", data, at)
        if signature == 0x2F:
            return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1), bool(bits >> 28 & 1)
    else:
        tag, start_code, width, height = struct.unpack_from("<B2x3sHH", data, at)
        if start_code == b"\x9d\x01\x2a" and not tag & 1:
            return (width & 0x3FFF, height & 0x3FFF), False
    raise ImageError(field, f"a damaged WebP (picture at byte {at})", "an intact file")


def _canvas(width_low: int, width_high: int, height_low: int, height_high: int) -> tuple[int, int]:
    return (width_low | width_high << 16) + 1, (height_low | height_high << 16) + 1
