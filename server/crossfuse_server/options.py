"""The options of a call or a stream, checked: FuseOptions and StreamConfig as plain values."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, TypeVar

from crossfuse.alignment import IDENTITY, Matrix, parse_homography
from crossfuse.client.requests import read_mapping
from crossfuse.errors import InvalidInput
from crossfuse.images import DEFAULT_QUALITY, IrMapping
from crossfuse.streaming import DropPolicy, StreamRules
from crossfuse.v1 import fusion_pb2 as pb

EnumT = TypeVar("EnumT", bound=int)

DROP_POLICIES: dict[int, DropPolicy] = {
    pb.DROP_POLICY_UNSPECIFIED: DropPolicy.NONE,
    pb.DROP_POLICY_NONE: DropPolicy.NONE,
    pb.DROP_POLICY_OLDEST: DropPolicy.OLDEST,
}
DEFAULT_IN_FLIGHT = 3

# Higher goes first among the calls of one client.
PRIORITIES: dict[int, int] = {
    pb.PRIORITY_LOW: 0,
    pb.PRIORITY_UNSPECIFIED: 1,
    pb.PRIORITY_NORMAL: 1,
    pb.PRIORITY_HIGH: 2,
}


@dataclass(frozen=True, slots=True)
class CallOptions:
    """FuseOptions, checked."""

    encoding: pb.Encoding
    quality: int
    color: pb.OutputColor
    mapping: IrMapping
    polarity: str
    homography: Matrix | None
    priority: int


def read_options(message: pb.FuseOptions) -> CallOptions:
    """The options of a call or a stream."""
    if message.quality > 100:
        raise InvalidInput(
            "options.quality", str(message.quality), "1 to 100, or 0 for the default"
        )
    return CallOptions(
        encoding=known("options.output_encoding", message.output_encoding, pb.Encoding),
        quality=message.quality or DEFAULT_QUALITY,
        color=known("options.output_color", message.output_color, pb.OutputColor),
        mapping=_read_mapping(message.ir_mapping),
        polarity="black-hot" if message.ir_mapping.black_hot else "white-hot",
        homography=_read_homography(message),
        priority=PRIORITIES[known("options.priority", message.priority, pb.Priority)],
    )


def _read_homography(message: pb.FuseOptions) -> Matrix | None:
    count = len(message.homography)
    if count not in (0, 9):  # before a million of them become an array
        raise InvalidInput("options.homography", f"{count} numbers", IDENTITY)
    return parse_homography(message.homography, "options.homography") if count else None


def _read_mapping(message: pb.IrMapping) -> IrMapping:
    try:
        return read_mapping(message)
    except InvalidInput as error:
        raise InvalidInput("options.ir_mapping", error.received, error.valid) from None


def read_rules(message: pb.StreamConfig, most_in_flight: int) -> StreamRules:
    """The rules of a stream."""
    in_flight = message.max_in_flight or min(DEFAULT_IN_FLIGHT, most_in_flight)
    if in_flight > most_in_flight:
        raise InvalidInput(
            "config.max_in_flight",
            str(in_flight),
            f"at most {most_in_flight} on this server, or 0 for its default",
        )
    policy = known("config.drop_policy", message.drop_policy, pb.DropPolicy)
    deadline = message.frame_deadline_us / 1e6
    return StreamRules(
        max_in_flight=in_flight,
        drop_policy=DROP_POLICIES[policy],
        # No lock can wait for longer than TIMEOUT_MAX, which is centuries: for ever.
        deadline=deadline if 0 < deadline < threading.TIMEOUT_MAX else None,
    )


def known(field: str, value: EnumT, enum: Any) -> EnumT:
    """An enum value that this server knows; proto3 lets any number through."""
    if value not in enum.values():
        raise InvalidInput(field, str(value), ", ".join(enum.keys()))
    return value
