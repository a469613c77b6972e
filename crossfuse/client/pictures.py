"""Between arrays and the Image message."""

from __future__ import annotations

import numpy as np

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse.images import Pixels, decode, decode_raw, encode
from crossfuse.v1 import fusion_pb2 as pb

ENCODINGS: dict[str, pb.Encoding] = {
    "raw": pb.ENCODING_RAW,
    "png": pb.ENCODING_PNG,
    "jpeg": pb.ENCODING_JPEG,
    "webp": pb.ENCODING_WEBP,
}


def encoding_named(name: str) -> pb.Encoding:
    """The encoding of a name."""
    if name not in ENCODINGS:
        raise UnknownName("encoding", name, ENCODINGS)
    return ENCODINGS[name]


def write_picture(message: pb.Image, pixels: Pixels, encoding: str) -> None:
    """Fill in a picture, uint8 or uint16 HxW or uint8 HxWx3 RGB; 16 bits always travel raw."""
    message.height, message.width = pixels.shape[:2]
    message.channels = 1 if pixels.ndim == 2 else 3
    message.color_space = pb.COLOR_SPACE_GRAY if pixels.ndim == 2 else pb.COLOR_SPACE_RGB
    wide = pixels.dtype == np.uint16
    message.dtype = pb.DATA_TYPE_UINT16 if wide else pb.DATA_TYPE_UINT8
    if wide or encoding == "raw":
        message.encoding = pb.ENCODING_RAW
        message.data = pixels.astype(pixels.dtype.newbyteorder("<"), copy=False).tobytes()
    else:
        message.encoding = ENCODINGS[encoding]
        message.data = encode(pixels.astype(np.uint8, copy=False), encoding)


def read_picture(message: pb.Image, *, field: str, max_pixels: int) -> Pixels:
    """A picture that `write_picture`, or a server, filled in; the array may be written to."""
    if not message.data:
        raise InvalidInput(f"{field}.data", "0 bytes", "a picture")
    if message.encoding not in (pb.ENCODING_UNSPECIFIED, pb.ENCODING_RAW):
        return decode(message.data, field=field, max_pixels=max_pixels)
    return decode_raw(
        message.data,
        width=message.width,
        height=message.height,
        channels=message.channels,
        dtype=np.uint16 if message.dtype == pb.DATA_TYPE_UINT16 else np.uint8,
        field=field,
        max_pixels=max_pixels,
    ).copy()
