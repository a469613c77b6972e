"""What a call or a stream may ask for where the Open Inference Protocol carries it.

Its messages have tensors and nothing else of ours; what cannot be done on this side is refused.
"""

from __future__ import annotations

from crossfuse.errors import InvalidInput, UnknownName
from crossfuse.v1 import fusion_pb2 as pb

CROSSFUSE = "crossfuse"
OIP = "oip"
PROTOCOLS = (CROSSFUSE, OIP)


def check_protocol(protocol: str) -> None:
    """Refuse a protocol that no client speaks."""
    if protocol not in PROTOCOLS:
        raise UnknownName("protocol", protocol, PROTOCOLS)


def check_call(options: pb.FuseOptions) -> None:
    """Refuse what a request cannot carry."""
    if options.homography:
        raise _refused("homography", "nine numbers", "none: align the pictures before")
    if options.output_encoding not in (pb.ENCODING_UNSPECIFIED, pb.ENCODING_RAW):
        name = pb.Encoding.Name(options.output_encoding).removeprefix("ENCODING_").lower()
        raise _refused("encoding", repr(name), "raw")


def check_stream(config: pb.StreamConfig) -> None:
    """Refuse what the requests of a stream cannot carry."""
    if config.drop_policy == pb.DROP_POLICY_OLDEST:
        raise _refused("drop", "'oldest'", "none: every frame is answered")
    if config.frame_deadline_us:
        raise _refused("frame_deadline", f"{config.frame_deadline_us / 1e6:g} s", "none")


def _refused(option: str, received: str, valid: str) -> InvalidInput:
    return InvalidInput(
        option, f"{received} with protocol='oip'", f"{valid}; or protocol='crossfuse'"
    )
