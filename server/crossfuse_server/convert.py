"""Between messages and arrays: protobuf stops here."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np

from crossfuse.alignment import IDENTITY, Matrix, parse_homography
from crossfuse.engines import UInt8Array
from crossfuse.errors import ImageError, InvalidInput
from crossfuse.fuser import PreparedPair, finish, prepare_pair
from crossfuse.images import (
    DEFAULT_MAPPING,
    DEFAULT_QUALITY,
    HeldMapping,
    IrMapping,
    LinearMapping,
    NoMapping,
    PercentileMapping,
    Pixels,
    decode_infrared,
    decode_raw,
    decode_visible,
    encode,
)
from crossfuse.streaming import DropPolicy, StreamRules
from crossfuse.v1 import fusion_pb2 as pb
from crossfuse_server.queue import Inference

EnumT = TypeVar("EnumT", bound=int)

FILE_ENCODINGS: dict[int, str] = {
    pb.ENCODING_PNG: "png",
    pb.ENCODING_JPEG: "jpeg",
    pb.ENCODING_WEBP: "webp",
}
DTYPES: dict[int, type[np.uint8] | type[np.uint16]] = {
    pb.DATA_TYPE_UNSPECIFIED: np.uint8,
    pb.DATA_TYPE_UINT8: np.uint8,
    pb.DATA_TYPE_UINT16: np.uint16,
}
COLOR_SPACES = {
    1: (pb.COLOR_SPACE_UNSPECIFIED, pb.COLOR_SPACE_GRAY),
    3: (pb.COLOR_SPACE_UNSPECIFIED, pb.COLOR_SPACE_RGB, pb.COLOR_SPACE_BGR),
}
DROP_POLICIES: dict[int, DropPolicy] = {
    pb.DROP_POLICY_UNSPECIFIED: DropPolicy.NONE,
    pb.DROP_POLICY_NONE: DropPolicy.NONE,
    pb.DROP_POLICY_OLDEST: DropPolicy.OLDEST,
}
DEFAULT_IN_FLIGHT = 3


@dataclass(frozen=True, slots=True)
class CallOptions:
    """FuseOptions, checked."""

    encoding: pb.Encoding
    quality: int
    color: pb.OutputColor
    mapping: IrMapping
    polarity: str
    homography: Matrix | None


def read_options(message: pb.FuseOptions) -> CallOptions:
    """The options of a call or a stream."""
    if message.quality > 100:
        raise InvalidInput(
            "options.quality", str(message.quality), "1 to 100, or 0 for the default"
        )
    return CallOptions(
        encoding=_known("options.output_encoding", message.output_encoding, pb.Encoding),
        quality=message.quality or DEFAULT_QUALITY,
        color=_known("options.output_color", message.output_color, pb.OutputColor),
        mapping=_read_mapping(message.ir_mapping),
        polarity="black-hot" if message.ir_mapping.black_hot else "white-hot",
        homography=_read_homography(message),
    )


def _read_homography(message: pb.FuseOptions) -> Matrix | None:
    count = len(message.homography)
    if count not in (0, 9):  # before a million of them become an array
        raise InvalidInput("options.homography", f"{count} numbers", IDENTITY)
    return parse_homography(message.homography, "options.homography") if count else None


def _read_mapping(message: pb.IrMapping) -> IrMapping:
    kind = message.WhichOneof("mapping")
    try:
        if kind == "linear":
            return LinearMapping(message.linear.low, message.linear.high)
        if kind == "percentile":
            return PercentileMapping(message.percentile.low, message.percentile.high)
    except InvalidInput as error:
        raise InvalidInput("options.ir_mapping", error.received, error.valid) from None
    return NoMapping() if kind == "none" else DEFAULT_MAPPING


def read_rules(message: pb.StreamConfig, most_in_flight: int) -> StreamRules:
    """The rules of a stream."""
    in_flight = message.max_in_flight or min(DEFAULT_IN_FLIGHT, most_in_flight)
    if in_flight > most_in_flight:
        raise InvalidInput(
            "config.max_in_flight",
            str(in_flight),
            f"at most {most_in_flight} on this server, or 0 for its default",
        )
    policy = _known("config.drop_policy", message.drop_policy, pb.DropPolicy)
    deadline = message.frame_deadline_us / 1e6
    return StreamRules(
        max_in_flight=in_flight,
        drop_policy=DROP_POLICIES[policy],
        # No lock can wait for longer than TIMEOUT_MAX, which is centuries: for ever.
        deadline=deadline if 0 < deadline < threading.TIMEOUT_MAX else None,
    )


def _known(field: str, value: EnumT, enum: Any) -> EnumT:
    """An enum value that this server knows; proto3 lets any number through."""
    if value not in enum.values():
        raise InvalidInput(field, str(value), ", ".join(enum.keys()))
    return value


class Converter:
    """Reads the pictures of one call or stream and writes the fused ones.

    `gate` bounds how many pictures of all calls together are decoded or encoded at once: each
    takes memory and a processor.
    """

    def __init__(
        self,
        options: CallOptions,
        *,
        gate: threading.Semaphore,
        max_pixels: int,
        minimum_size: int,
        held: bool = False,
    ) -> None:
        self._options = options
        self._gate = gate
        self._max_pixels = max_pixels
        self._minimum_size = minimum_size
        self._mapping: IrMapping | HeldMapping = options.mapping
        if held:
            self._mapping = HeldMapping(options.mapping, polarity=options.polarity)

    def read_pair(self, ir: pb.Image, vis: pb.Image) -> PreparedPair:
        """Two pictures as an engine takes them."""
        with self._gate:
            return prepare_pair(
                self._read_infrared(ir),
                self._read_visible(vis),
                minimum_size=self._minimum_size,
                max_pixels=self._max_pixels,
                mapping=self._mapping,
                polarity=self._options.polarity,
                homography=self._options.homography,
            )

    def write_image(self, message: pb.Image, fused: UInt8Array, *, grey: bool) -> None:
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
        with self._gate:
            message.data = encode(picture, name, quality=self._options.quality)

    def _read_infrared(self, message: pb.Image) -> Pixels:
        if _is_raw(message, "ir"):
            pixels = self._read_raw(message, "ir")
            if pixels.ndim != 2:
                raise ImageError("ir.channels", "3", "1")
            return pixels
        pixels = decode_infrared(message.data, field="ir.data", max_pixels=self._max_pixels)
        _check_declared(message, pixels, "ir")
        return pixels

    def _read_visible(self, message: pb.Image) -> UInt8Array:
        if _is_raw(message, "vis"):
            pixels = self._read_raw(message, "vis")
            if pixels.dtype != np.uint8:
                raise ImageError("vis.dtype", "DATA_TYPE_UINT16", "DATA_TYPE_UINT8")
            flip = pixels.ndim == 3 and message.color_space == pb.COLOR_SPACE_BGR
            return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if flip else pixels, np.uint8)
        decoded = decode_visible(message.data, field="vis.data", max_pixels=self._max_pixels)
        _check_declared(message, decoded, "vis")
        return decoded

    def _read_raw(self, message: pb.Image, field: str) -> Pixels:
        dtype = DTYPES[_known(f"{field}.dtype", message.dtype, pb.DataType)]
        fitting = COLOR_SPACES.get(message.channels)
        if fitting is None:
            raise ImageError(f"{field}.channels", str(message.channels), "1 or 3")
        space = _known(f"{field}.color_space", message.color_space, pb.ColorSpace)
        if space not in fitting:
            names = " or ".join(map(pb.ColorSpace.Name, fitting[1:]))
            raise ImageError(
                f"{field}.color_space",
                f"{pb.ColorSpace.Name(space)} with {message.channels} channels",
                names,
            )
        return decode_raw(
            message.data,
            width=message.width,
            height=message.height,
            channels=message.channels,
            dtype=dtype,
            field=f"{field}.data",
            max_pixels=self._max_pixels,
        )


def _is_raw(message: pb.Image, field: str) -> bool:
    if not message.data:
        raise ImageError(f"{field}.data", "0 bytes", "the samples of a picture, or a whole file")
    _known(f"{field}.encoding", message.encoding, pb.Encoding)
    return message.encoding not in FILE_ENCODINGS


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


def write_timings(
    message: pb.Timings,
    inference: Inference,
    *,
    decode_time: float,
    encode_time: float,
    total_time: float,
) -> None:
    """Fill in the times, given in seconds."""
    message.decode_us = round(decode_time * 1e6)
    message.queue_us = round(inference.queue_time * 1e6)
    message.infer_us = round(inference.infer_time * 1e6)
    message.encode_us = round(encode_time * 1e6)
    message.total_us = round(total_time * 1e6)
    message.batch_size = inference.batch_size
