"""From arrays and options to messages; whatever can be seen to be wrong is refused here."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from crossfuse.alignment import Matrix, parse_homography
from crossfuse.client.pictures import encoding_named, write_picture
from crossfuse.errors import InvalidInput, UnknownName
from crossfuse.images import (
    DEFAULT_MAPPING,
    IrMapping,
    LinearMapping,
    NoMapping,
    PercentileMapping,
    Pixels,
    parse_mapping,
    validate_pair,
)
from crossfuse.images.infrared import BLACK_HOT, check_polarity
from crossfuse.v1 import fusion_pb2 as pb

Homography = Sequence[float] | Matrix

DROP_POLICIES: dict[str, pb.DropPolicy] = {
    "none": pb.DROP_POLICY_NONE,
    "oldest": pb.DROP_POLICY_OLDEST,
}
LARGEST_UINT32 = 2**32 - 1
LARGEST_INT64 = 2**63 - 1
LARGEST_UINT64 = 2**64 - 1


@dataclass(frozen=True, slots=True)
class CallOptions:
    """What holds for a call, or for every frame of a stream."""

    model: pb.ModelRef
    message: pb.FuseOptions
    encoding: str
    max_pixels: int

    def write_pair(self, ir: Pixels, vis: Pixels, into: pb.FuseRequest | pb.StreamFrame) -> None:
        """Check a pair and fill it in: ir uint8 or uint16 HxW, vis uint8 HxWx3 RGB or HxW."""
        aligned = not self.message.homography
        validate_pair(ir, vis, max_pixels=self.max_pixels, same_size=aligned)
        write_picture(into.ir, ir, self.encoding)
        write_picture(into.vis, vis, self.encoding)


def write_options(
    *,
    model: str | None,
    homography: Homography | None,
    ir_mapping: str | IrMapping,
    ir_polarity: str,
    encoding: str,
    max_pixels: int,
) -> CallOptions:
    """The options of a call or a stream, checked."""
    mapping = parse_mapping(ir_mapping) if isinstance(ir_mapping, str) else ir_mapping
    message = pb.FuseOptions(
        output_encoding=encoding_named(encoding), ir_mapping=_mapping(mapping, ir_polarity)
    )
    if homography is not None:
        message.homography.extend(parse_homography(homography).ravel().tolist())
    return CallOptions(_model_reference(model), message, encoding, max_pixels)


def fuse_request(options: CallOptions, ir: Pixels, vis: Pixels) -> pb.FuseRequest:
    """One pair to fuse, with an id of its own."""
    request = pb.FuseRequest(
        request_id=secrets.token_hex(8), model=options.model, options=options.message
    )
    options.write_pair(ir, vis, request)
    return request


def stream_config(
    options: CallOptions, *, max_in_flight: int | None, drop: str, frame_deadline: float | None
) -> pb.StreamConfig:
    """What holds for a whole stream, checked."""
    if max_in_flight is not None and not 1 <= max_in_flight <= LARGEST_UINT32:
        raise InvalidInput("max_in_flight", str(max_in_flight), "1 or more, such as 3")
    if drop not in DROP_POLICIES:
        raise UnknownName("drop", drop, DROP_POLICIES)
    if frame_deadline is not None and not 1e-6 <= frame_deadline <= LARGEST_INT64 / 1e6:
        raise InvalidInput(
            "frame_deadline", f"{frame_deadline} s", "a positive number of seconds, such as 0.2"
        )
    return pb.StreamConfig(
        model=options.model,
        options=options.message,
        max_in_flight=max_in_flight or 0,
        drop_policy=DROP_POLICIES[drop],
        frame_deadline_us=round((frame_deadline or 0) * 1e6),
    )


def _model_reference(model: str | None) -> pb.ModelRef:
    if model is None:
        return pb.ModelRef()
    name, colon, version = model.partition(":")
    if not name or (colon and not (version.isdecimal() and version.isascii())):
        raise InvalidInput("model", repr(model), "NAME or NAME:VERSION, like crossfuse-rt:1")
    return pb.ModelRef(name=name, version=version)


def _mapping(mapping: IrMapping, polarity: str) -> pb.IrMapping:
    check_polarity(polarity)
    message = pb.IrMapping(black_hot=polarity == BLACK_HOT)
    if isinstance(mapping, LinearMapping):
        message.linear.low, message.linear.high = mapping.low, mapping.high
    elif isinstance(mapping, PercentileMapping):
        message.percentile.low, message.percentile.high = mapping.low, mapping.high
    else:
        message.none.SetInParent()
    return message


def read_mapping(message: pb.IrMapping) -> IrMapping:
    """The mapping that `write_options` filled in."""
    kind = message.WhichOneof("mapping")
    if kind == "linear":
        return LinearMapping(message.linear.low, message.linear.high)
    if kind == "percentile":
        return PercentileMapping(message.percentile.low, message.percentile.high)
    return NoMapping() if kind == "none" else DEFAULT_MAPPING
