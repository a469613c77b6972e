"""Fragments of an MP4: a header with the times and sizes of a few frames, then the frames."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossfuse.video.mp4_boxes import box, child, full_box

# Flags of a frame: one that can be decoded alone, and one that needs those before it.
ALONE = 0x02000000
DEPENDENT = 0x01010000
_NEEDS_OTHERS = 0x00010000

# What a header may say once for all of its frames, in this order, and for each of them.
_DEFAULTS = {0x1: 8, 0x2: 4, 0x8: 4, 0x10: 4, 0x20: 4}
_DURATION, _SIZE, _FLAGS = 0x100, 0x200, 0x400
_FIRST_FLAGS = 0x4


@dataclass(frozen=True, slots=True)
class Fragment:
    """The frames of one fragment, in order; times in ticks of the file."""

    begins: int
    durations: NDArray[np.uint32]
    sizes: NDArray[np.uint32]
    keys: NDArray[np.bool_]
    """Whether a frame can be decoded alone."""
    offset: int
    """Of the first frame, from the start of the header; the others follow it."""


def fragment_header(
    number: int, decode_time: int, durations: list[int], sizes: list[int], keys: list[bool]
) -> bytes:
    """The moof box of a fragment whose frames follow in one mdat box."""

    def build(offset: int) -> bytes:
        entries = b"".join(
            struct.pack(">III", duration, size, ALONE if key else DEPENDENT)
            for duration, size, key in zip(durations, sizes, keys, strict=True)
        )
        run = full_box(b"trun", 0, 0x701, struct.pack(">Ii", len(sizes), offset), entries)
        return box(
            b"moof",
            full_box(b"mfhd", 0, 0, struct.pack(">I", number)),
            box(
                b"traf",
                full_box(b"tfhd", 0, 0x020000, struct.pack(">I", 1)),
                full_box(b"tfdt", 1, 0, struct.pack(">Q", decode_time)),
                run,
            ),
        )

    return build(len(build(0)) + 8)


def read_fragment(moof: bytes) -> Fragment:
    """What the content of a moof box of one track says, of this muxer or of FFmpeg's."""
    track = child(moof, b"traf")
    defaults = _defaults(child(track, b"tfhd"))
    (begins,) = struct.unpack_from(">Q", child(track, b"tfdt"), 4)
    run = child(track, b"trun")
    present, count, offset = struct.unpack_from(">IIi", run)
    at = 12
    first = defaults[0x20]
    if present & _FIRST_FLAGS:
        (first,) = struct.unpack_from(">I", run, at)
        at += 4
    columns = [flag for flag in (_DURATION, _SIZE, _FLAGS) if present & flag]
    table = np.frombuffer(run, ">u4", count * len(columns), at).reshape(count, len(columns))
    fields = {flag: table[:, number] for number, flag in enumerate(columns)}
    flags = np.full(count, defaults[0x20], np.uint32)
    flags[:1] = first
    return Fragment(
        begins,
        fields.get(_DURATION, np.full(count, defaults[0x8])).astype(np.uint32),
        fields.get(_SIZE, np.full(count, defaults[0x10])).astype(np.uint32),
        fields.get(_FLAGS, flags) & _NEEDS_OTHERS == 0,
        offset,
    )


def _defaults(header: bytes) -> dict[int, int]:
    """By flag, what holds for all frames of a fragment; 0 where nothing is said."""
    (present,) = struct.unpack_from(">I", header)
    found, at = dict.fromkeys(_DEFAULTS, 0), 8
    for flag, width in _DEFAULTS.items():
        if present & flag:
            found[flag] = int.from_bytes(header[at : at + width])
            at += width
    return found
