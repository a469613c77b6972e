"""Reads the header of a JPEG file and walks its segments to the end."""

from __future__ import annotations

import re
import struct
from typing import Final

from crossfuse.errors import ImageError
from crossfuse.images.formats.base import ImageHeader
from crossfuse.images.formats.exif import exif_orientation

SIGNATURE: Final = b"\xff\xd8\xff"
MAX_SEGMENTS: Final = 10000
MAX_SCANS: Final = 100
"""Every scan costs a decoder a pass over the whole picture, however few bytes it has."""

_FRAMES: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_WITHOUT_LENGTH: Final = frozenset({0x01, *range(0xD0, 0xD9)})
_END, _SCAN, _APP1 = 0xD9, 0xDA, 0xE1
_FILL: Final = re.compile(rb"\xff+(?=\xff)")
# In coded data a marker is 0xFF followed by neither a stuffed zero, a restart nor a fill byte.
_MARKER_IN_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def parse_jpeg(data: bytes, field: str) -> ImageHeader:
    """Header of a JPEG of any process; stricter than decoders about bytes between segments."""
    frame: tuple[int, int, int, int] | None = None
    orientation, scans, complete = 1, 0, False
    at = 2
    for _ in range(MAX_SEGMENTS):
        if fill := _FILL.match(data, at):
            at = fill.end()
        if at + 2 > len(data):
            break
        if data[at] != 0xFF:
            raise ImageError(field, f"a damaged JPEG (no marker at byte {at})", "an intact file")
        marker = data[at + 1]
        if marker == _END:
            complete = scans > 0
            break
        if marker in _WITHOUT_LENGTH:
            at += 2
            continue
        if at + 4 > len(data):
            break
        (length,) = struct.unpack_from(">H", data, at + 2)
        if marker in _FRAMES and frame is None:
            frame = struct.unpack_from(">BHHB", data, at + 4)
        elif marker == _APP1 and data.startswith(b"Exif\0\0", at + 4):
            orientation = exif_orientation(data[at + 4 : at + 2 + length])
        at += 2 + length
        if marker == _SCAN:
            scans += 1
            following = _MARKER_IN_SCAN.search(data, at)
            at = following.start() if following else len(data)
    else:
        raise ImageError(field, f"a JPEG of over {MAX_SEGMENTS} segments", "fewer segments")
    if frame is None:
        raise ImageError(field, "a truncated JPEG (no frame header)", "the whole file")
    if scans > MAX_SCANS:
        raise ImageError(field, f"a JPEG of {scans} scans", f"at most {MAX_SCANS} scans")
    depth, height, width, channels = frame
    if channels not in (1, 3, 4):
        raise ImageError(field, f"a JPEG of {channels} components", "1 (grey) or 3 (colour)")
    return ImageHeader(
        "JPEG",
        width,
        height,
        channels,
        depth,
        cmyk=channels == 4,
        orientation=orientation,
        complete=complete,
    )
