"""Turns bytes into arrays: any accepted file, the two roles of a pair, raw pixels."""

from __future__ import annotations

import math
from typing import Final, cast

import cv2
import numpy as np
from numpy.typing import DTypeLike, NDArray

from crossfuse.errors import ImageError
from crossfuse.images.decoder_log import silent_decoder
from crossfuse.images.formats.base import FORMATS, ImageHeader
from crossfuse.images.formats.tiff import with_opaque_alpha
from crossfuse.images.header import read_header
from crossfuse.images.palettes import to_single_channel
from crossfuse.images.pixels import DEFAULT_MAX_PIXELS, Pixels, check_pixels

_RAW_DTYPES: Final = (np.dtype("<u1"), np.dtype("<u2"))


def decode(data: bytes, *, field: str = "image", max_pixels: int = DEFAULT_MAX_PIXELS) -> Pixels:
    """A PNG, JPEG, WebP or TIFF as uint8 or uint16, HxW grey or HxWx3 RGB.

    The EXIF orientation is obeyed and alpha dropped. Files that are truncated, animated, CMYK or
    over `max_pixels` are refused by their header, before a decoder allocates anything. Damage in
    the middle of lossy data, or of a compressed 8-bit TIFF, goes unseen: OpenCV reports none.
    """
    header = read_header(data, field=field)
    check_pixels(header.width, header.height, max_pixels, field)
    _check_kind(header, len(data), field)
    if header.format == "TIFF" and header.alpha:
        data = with_opaque_alpha(data)
    # OpenCV would obey the orientation for some formats and versions only, so IMREAD_UNCHANGED
    # asks for the stored picture; TIFF alone comes out upright even then.
    stored = _run_decoder(data, header, field)
    upright = stored if header.format == "TIFF" else _turn_upright(stored, header.orientation)
    return cast(Pixels, np.ascontiguousarray(upright))


def decode_infrared(
    data: bytes,
    *,
    field: str = "ir",
    max_pixels: int = DEFAULT_MAX_PIXELS,
    palette: str | None = None,
) -> Pixels:
    """An infrared file as uint8 or uint16 HxW; three equal channels count as one.

    A false-colour picture is refused, unless `palette` says how to convert it: the name of the
    palette it was made with, or "luma" for its brightness.
    """
    image = decode(data, field=field, max_pixels=max_pixels)
    return to_single_channel(image, palette, field=field)


def decode_visible(
    data: bytes, *, field: str = "vis", max_pixels: int = DEFAULT_MAX_PIXELS
) -> NDArray[np.uint8]:
    """A visible file as uint8, HxW where the file is grey, else HxWx3 RGB."""
    image = decode(data, field=field, max_pixels=max_pixels)
    if image.dtype != np.uint8:
        raise ImageError(
            field, "a visible picture of 16 bits per channel", "8 bits (only infrared may have 16)"
        )
    return image.astype(np.uint8, copy=False)


def decode_raw(
    data: bytes,
    *,
    width: int,
    height: int,
    channels: int,
    dtype: DTypeLike,
    field: str = "image",
    max_pixels: int = DEFAULT_MAX_PIXELS,
) -> Pixels:
    """Raw pixels (row-major, interleaved, little-endian, no padding) as HxW or HxWx3.

    The array is a read-only view of `data` where the machine is little-endian too.
    """
    check_pixels(width, height, max_pixels, field)
    if channels not in (1, 3):
        raise ImageError(field, f"{channels} channels", "1 or 3")
    stored = np.dtype(dtype).newbyteorder("<")
    if stored not in _RAW_DTYPES:
        raise ImageError(field, f"dtype {np.dtype(dtype).name}", "uint8 or uint16")
    shape = (height, width) if channels == 1 else (height, width, channels)
    needed = math.prod(shape) * stored.itemsize
    if len(data) != needed:
        raise ImageError(
            field,
            f"{len(data)} bytes of raw data",
            f"{needed} bytes ({width}x{height}, {channels} channels, {stored.name})",
        )
    pixels = np.frombuffer(data, stored).reshape(shape)
    return pixels.astype(stored.newbyteorder("="), copy=False)


def _check_kind(header: ImageHeader, size: int, field: str) -> None:
    """Refuse what the header already tells we cannot take."""
    name = f"{header.format} of {header.width}x{header.height}"
    if header.animated:
        raise ImageError(field, f"an animated or multi-page {name}", "a file of one picture")
    if header.cmyk:
        raise ImageError(field, f"a CMYK {name}", "grey or RGB")
    if header.format == "JPEG" and header.bit_depth != 8:
        raise ImageError(field, f"a {name} with {header.bit_depth} bits per sample", "8 bits")
    if not header.complete:
        raise ImageError(field, f"a truncated {name} ({size} bytes)", "the whole file")


def _run_decoder(data: bytes, header: ImageHeader, field: str) -> Pixels:
    """The stored picture as grey or RGB, checked against what the header promised."""
    try:
        with silent_decoder():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise _undecodable(header, field, " ".join(str(error).split())) from None
    if image is None:
        raise _undecodable(header, field, "damaged, or of a rare kind")
    width, height = header.width, header.height
    if header.format == "TIFF":
        width, height = header.upright_size
    dtype = np.uint16 if header.bit_depth == 16 else np.uint8
    if image.shape[:2] != (height, width) or image.dtype != dtype:
        raise _undecodable(header, field, f"decodes to {image.dtype} of shape {image.shape}")
    if image.ndim == 2 and header.channels == 1:
        return cast(Pixels, image)
    if image.ndim != 3 or image.shape[2] not in (3, 4):
        raise _undecodable(header, field, f"decodes to shape {image.shape}")
    if header.channels == 1:
        return cast(Pixels, image[..., 0])  # grey with alpha comes as BGRA of equal colours
    conversion = cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGB
    return cast(Pixels, cv2.cvtColor(image, conversion))


def _undecodable(header: ImageHeader, field: str, reason: str) -> ImageError:
    return ImageError(
        field,
        f"a {header.format} of {header.width}x{header.height} that cannot be decoded ({reason})",
        f"an intact {FORMATS}",
    )


def _turn_upright(image: Pixels, orientation: int) -> Pixels:
    """The picture as EXIF says it is to be seen: mirrored, turned, or both."""
    if orientation >= 5:
        image = image.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image
