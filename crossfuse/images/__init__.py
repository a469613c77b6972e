"""Pictures in and out: files and bytes to numpy arrays, and back.

Infrared is uint8 or uint16 HxW, visible uint8 HxWx3 RGB or HxW grey, everywhere.
"""

from __future__ import annotations

from crossfuse.images.decode import decode, decode_infrared, decode_raw, decode_visible
from crossfuse.images.encode import DEFAULT_QUALITY, ENCODINGS, encode
from crossfuse.images.files import read_bytes, read_infrared, read_visible, write_file
from crossfuse.images.folders import PICTURE_SUFFIXES, PictureFolder
from crossfuse.images.formats.base import ImageHeader
from crossfuse.images.header import read_header
from crossfuse.images.infrared import (
    DEFAULT_MAPPING,
    POLARITIES,
    HeldMapping,
    IrMapping,
    LinearMapping,
    NoMapping,
    PercentileMapping,
    map_infrared,
    parse_mapping,
)
from crossfuse.images.pairs import validate_pair
from crossfuse.images.palettes import PALETTES, palette_colours, to_single_channel
from crossfuse.images.pixels import DEFAULT_MAX_PIXELS, MAX_FILE_BYTES, Pixels

__all__ = [
    "DEFAULT_MAPPING",
    "DEFAULT_MAX_PIXELS",
    "DEFAULT_QUALITY",
    "ENCODINGS",
    "MAX_FILE_BYTES",
    "PALETTES",
    "PICTURE_SUFFIXES",
    "POLARITIES",
    "HeldMapping",
    "ImageHeader",
    "IrMapping",
    "LinearMapping",
    "NoMapping",
    "PercentileMapping",
    "PictureFolder",
    "Pixels",
    "decode",
    "decode_infrared",
    "decode_raw",
    "decode_visible",
    "encode",
    "map_infrared",
    "palette_colours",
    "parse_mapping",
    "read_bytes",
    "read_header",
    "read_infrared",
    "read_visible",
    "to_single_channel",
    "validate_pair",
    "write_file",
]
