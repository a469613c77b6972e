"""Finds the orientation in an EXIF block."""

from __future__ import annotations

import struct

from crossfuse.images.formats.ifd import ORIENTATION, BadDirectory, read_directory


def exif_orientation(block: bytes) -> int:
    """Orientation 1 to 8 of an EXIF block; 1 where it is damaged or says nothing valid.

    Metadata is no part of the picture, so damage to it is no reason to refuse the file.
    """
    try:
        value = read_directory(block.removeprefix(b"Exif\0\0")).integer(ORIENTATION, 1)
    except (BadDirectory, struct.error):
        return 1
    return value if 1 <= value <= 8 else 1
