"""Between messages and arrays: protobuf stops here. What a call may ask for is in options.py."""

from __future__ import annotations

import cv2
import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.errors import ImageError
from crossfuse.fuser import PreparedPair, finish, prepare_pair
from crossfuse.images import (
    HeldMapping,
    IrMapping,
    Pixels,
    decode_infrared,
    decode_raw,
    decode_visible,
    encode,
)
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.gate import Claim, Gate
from crossfuse_server.options import CallOptions, known
from crossfuse_server.timeline import DECODE, ENCODE, INFER, QUEUE, Timeline

FILE_ENCODINGS: dict[int, str] = {
    pb.ENCODING_PNG: "png",
    pb.ENCODING_JPEG: "jpeg",
    pb.ENCODING_WEBP: "webp",
}
MEDIA_TYPES = {encoding: f"image/{name}" for encoding, name in FILE_ENCODINGS.items()}
DTYPES: dict[int, type[np.uint8] | type[np.uint16]] = {
    pb.DATA_TYPE_UNSPECIFIED: np.uint8,
    pb.DATA_TYPE_UINT8: np.uint8,
    pb.DATA_TYPE_UINT16: np.uint16,
}
COLOR_SPACES = {
    1: (pb.COLOR_SPACE_UNSPECIFIED, pb.COLOR_SPACE_GRAY),
    3: (pb.COLOR_SPACE_UNSPECIFIED, pb.COLOR_SPACE_RGB, pb.COLOR_SPACE_BGR),
}


class Converter:
    """Reads the pictures of one call or stream and writes the fused ones.

    `gate` bounds how many pictures of all calls together are decoded or encoded at once: each
    takes memory and a processor. `claim` is what the call or stream has of it.
    """

    def __init__(
        self,
        options: CallOptions,
        *,
        gate: Gate,
        claim: Claim,
        max_pixels: int,
        held: bool = False,
    ) -> None:
        self._options = options
        self._gate = gate
        self._claim = claim
        self._max_pixels = max_pixels
        self._mapping: IrMapping | HeldMapping = options.mapping
        if held:
            self._mapping = HeldMapping(options.mapping, polarity=options.polarity)

    def read_pair(
        self, ir: pb.Image, vis: pb.Image, minimum_size: int, timeline: Timeline
    ) -> PreparedPair:
        """Two pictures as an engine takes them; the model says how small they may be."""
        with self._gate.place(self._claim, timeline, DECODE):
            return prepare_pair(
                self._read_infrared(ir),
                self._read_visible(vis),
                minimum_size=minimum_size,
                max_pixels=self._max_pixels,
                mapping=self._mapping,
                polarity=self._options.polarity,
                homography=self._options.homography,
            )

    def write_image(
        self, message: pb.Image, fused: UInt8Array, timeline: Timeline, *, grey: bool
    ) -> None:
        """Fill in the fused picture; `grey` says whether the visible one was."""
        color = self._options.color
        if color == pb.OUTPUT_COLOR_GRAY:
            grey = True
        elif color == pb.OUTPUT_COLOR_COLOR:
            grey = False
        picture = finish(fused, grey=grey)
        message.height, message.width = picture.shape[:2]
        message.channels = 1 if grey else 3
        message.dtype = pb.DATA_TYPE_UINT8
        message.color_space = pb.COLOR_SPACE_GRAY if grey else pb.COLOR_SPACE_RGB
        name = FILE_ENCODINGS.get(self._options.encoding)
        if name is None:
            message.encoding = pb.ENCODING_RAW
            message.data = picture.tobytes()
            return
        message.encoding = self._options.encoding
        with self._gate.place(self._claim, timeline, ENCODE):
            message.data = encode(picture, name, quality=self._options.quality)

    def _read_infrared(self, message: pb.Image) -> Pixels:
        data = _data_of(message, "ir")
        if message.encoding not in FILE_ENCODINGS:
            pixels = self._read_raw(message, data, "ir")
            if pixels.ndim != 2:
                raise ImageError("ir.channels", "3", "1")
            return pixels
        pixels = decode_infrared(data, field="ir.data", max_pixels=self._max_pixels)
        _check_declared(message, pixels, "ir")
        return pixels

    def _read_visible(self, message: pb.Image) -> UInt8Array:
        data = _data_of(message, "vis")
        if message.encoding not in FILE_ENCODINGS:
            pixels = self._read_raw(message, data, "vis")
            if pixels.dtype != np.uint8:
                raise ImageError("vis.dtype", "DATA_TYPE_UINT16", "DATA_TYPE_UINT8")
            flip = pixels.ndim == 3 and message.color_space == pb.COLOR_SPACE_BGR
            return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if flip else pixels, np.uint8)
        decoded = decode_visible(data, field="vis.data", max_pixels=self._max_pixels)
        _check_declared(message, decoded, "vis")
        return decoded

    def _read_raw(self, message: pb.Image, data: bytes, field: str) -> Pixels:
        dtype = DTYPES[known(f"{field}.dtype", message.dtype, pb.DataType)]
        fitting = COLOR_SPACES.get(message.channels)
        if fitting is None:
            raise ImageError(f"{field}.channels", str(message.channels), "1 or 3")
        space = known(f"{field}.color_space", message.color_space, pb.ColorSpace)
        if space not in fitting:
            names = " or ".join(map(pb.ColorSpace.Name, fitting[1:]))
            raise ImageError(
                f"{field}.color_space",
                f"{pb.ColorSpace.Name(space)} with {message.channels} channels",
                names,
            )
        return decode_raw(
            data,
            width=message.width,
            height=message.height,
            channels=message.channels,
            dtype=dtype,
            field=f"{field}.data",
            max_pixels=self._max_pixels,
        )


def _data_of(message: pb.Image, field: str) -> bytes:
    """The bytes of a picture, asked for once: a message copies them out at every access."""
    data = message.data
    if not data:
        raise ImageError(f"{field}.data", "0 bytes", "the samples of a picture, or a whole file")
    known(f"{field}.encoding", message.encoding, pb.Encoding)
    return data


def _check_declared(message: pb.Image, pixels: Pixels, field: str) -> None:
    """A size that is given beside a file must be the file's."""
    height, width = pixels.shape[:2]
    for name, given, found in (
        ("width", message.width, width),
        ("height", message.height, height),
    ):
        if given not in (0, found):
            raise ImageError(f"{field}.{name}", str(given), f"{found}, as the file says, or 0")


def write_model(message: pb.ModelRef, name: str, version: int) -> None:
    """Fill in a model reference."""
    message.name, message.version = name, str(version)


def write_timings(message: pb.Timings, timeline: Timeline, batch_size: int) -> None:
    """Fill in what a timeline says so far; the total is the sum of the phases."""
    spent = {phase: round(seconds * 1e6) for phase, seconds in timeline.spent().items()}
    message.decode_us = spent[DECODE]
    message.queue_us = spent[QUEUE]
    message.infer_us = spent[INFER]
    message.encode_us = spent[ENCODE]
    message.total_us = sum(spent.values())
    message.batch_size = batch_size
