"""Reads what a picture is from its first bytes, before any decoder sees it."""

from __future__ import annotations

import struct

from crossfuse.errors import ImageError
from crossfuse.images.formats import jpeg, png, tiff, webp
from crossfuse.images.formats.base import FORMATS, ImageHeader

_REFUSED_SIGNATURES = {
    b"GIF8": "a GIF",
    b"BM": "a BMP",
    b"\0\0\0\x0cjP": "a JPEG 2000",
    b"\xffO\xffQ": "a JPEG 2000",
    b"%PDF": "a PDF",
    **dict.fromkeys(tiff.BIG_SIGNATURES, "a BigTIFF"),
}
_REFUSED_BRANDS = {
    **dict.fromkeys((b"avif", b"avis"), "an AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"mif1", b"msf1"), "a HEIC"),
}


def read_header(data: bytes, *, field: str = "image") -> ImageHeader:
    """What the file says about its picture; ImageError naming `field` if it is not one we accept.

    Decodes nothing: time is linear in the length of `data`, memory in that of its metadata.
    """
    try:
        header = _parse(data, field)
    except struct.error:
        raise ImageError(
            field, f"a picture truncated in its header ({len(data)} bytes)", "the whole file"
        ) from None
    if header.pixels == 0:
        raise ImageError(
            field, f"a {header.format} of {header.width}x{header.height}", "at least 1x1 pixels"
        )
    return header


def _parse(data: bytes, field: str) -> ImageHeader:
    if data.startswith(png.SIGNATURE):
        return png.parse_png(data, field)
    if data.startswith(jpeg.SIGNATURE):
        return jpeg.parse_jpeg(data, field)
    if webp.is_webp(data):
        return webp.parse_webp(data, field)
    if data.startswith(tiff.SIGNATURES):
        return tiff.parse_tiff(data, field)
    raise ImageError(field, _describe(data), FORMATS)


def _describe(data: bytes) -> str:
    """What bytes that we do not accept seem to be; none of them, as messages end up in logs."""
    if not data:
        return "0 bytes"
    for signature, name in _REFUSED_SIGNATURES.items():
        if data.startswith(signature):
            return name
    if data[4:8] == b"ftyp":
        return _REFUSED_BRANDS.get(data[8:12], "a video (MP4 or its kin)")
    return f"{len(data)} bytes that begin as no picture does"
