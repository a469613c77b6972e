"""MP4 boxes: reading what another muxer wrote, and writing the few that a video needs."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# Unscaled axes, as every track and movie header carries them.
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)


@dataclass(frozen=True, slots=True)
class Track:
    """What a finished MP4 holds: its sample description box, and the samples in order."""

    description: bytes
    samples: list[bytes]
    keyframes: frozenset[int]


def box(kind: bytes, *parts: bytes, following: int = 0) -> bytes:
    """A box of these parts, and of so many more bytes that are written after them."""
    content = b"".join(parts)
    return struct.pack(">I4s", len(content) + following + 8, kind) + content


def full_box(kind: bytes, version: int, flags: int, *parts: bytes, following: int = 0) -> bytes:
    """A box with version and flags."""
    return box(kind, struct.pack(">I", version << 24 | flags), *parts, following=following)


def children(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and content of the boxes that lie one after the other in `data`."""
    at = 0
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        header = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
            header = 16
        elif size == 0:
            size = len(data) - at
        if size < header:
            raise ValueError(f"a box {kind!r} of {size} bytes")
        yield kind, data[at + header : at + size]
        at += size


def child(data: bytes, *path: bytes) -> bytes:
    """The content of the first box along a path of kinds; ValueError where there is none."""
    for kind in path:
        content = next((content for found, content in children(data) if found == kind), None)
        if content is None:
            raise ValueError(f"no box {kind!r}")
        data = content
    return data


def read_track(data: bytes) -> Track:
    """The samples of the one video track of an MP4 file; ValueError where it is cut short."""
    table = child(data, b"moov", b"trak", b"mdia", b"minf", b"stbl")
    sizes = child(table, b"stsz")
    fixed, count = struct.unpack_from(">II", sizes, 4)
    lengths = [fixed] * count if fixed else list(struct.unpack_from(f">{count}I", sizes, 12))
    runs = struct.unpack_from(f">{3 * _count(child(table, b'stsc'))}I", child(table, b"stsc"), 8)
    offsets = child(table, b"stco")
    chunks = struct.unpack_from(f">{_count(offsets)}I", offsets, 8)
    samples: list[bytes] = []
    for number, start in enumerate(chunks, start=1):
        per_chunk = next(runs[at + 1] for at in range(len(runs) - 3, -1, -3) if runs[at] <= number)
        for _ in range(per_chunk):
            length = lengths[len(samples)]
            if start + length > len(data):
                raise ValueError(f"{len(data)} bytes, in which sample {len(samples)} is not")
            samples.append(data[start : start + length])
            start += length
    kinds = dict(children(table))
    keys: Iterable[int] = range(1, count + 1)
    if b"stss" in kinds:
        keys = struct.unpack_from(f">{_count(kinds[b'stss'])}I", kinds[b"stss"], 8)
    return Track(box(b"stsd", kinds[b"stsd"]), samples, frozenset(key - 1 for key in keys))


def _count(table: bytes) -> int:
    return int(struct.unpack_from(">I", table, 4)[0])


def file_type() -> bytes:
    """The box an MP4 begins with."""
    return box(b"ftyp", b"isom", struct.pack(">I", 512), b"isomiso2iso5mp41")


def movie(
    description: bytes, size: tuple[int, int], timescale: int, duration: int, tables: int = 0
) -> bytes:
    """The moov box of one video track; without tables that of a file of fragments.

    The tables, of so many bytes together, are written after it: they belong to its last box.
    Durations have 64 bits: in 32 the ticks of five days have no room.
    """
    movie_header = full_box(
        b"mvhd", 1, 0,
        struct.pack(">QQIQIHHII", 0, 0, timescale, duration, 0x10000, 0x100, 0, 0, 0),
        _MATRIX, bytes(24), struct.pack(">I", 2),
    )  # fmt: skip
    track_header = full_box(
        b"tkhd", 1, 3,
        struct.pack(">QQIIQIIHHHH", 0, 0, 1, 0, duration, 0, 0, 0, 0, 0, 0),
        _MATRIX, struct.pack(">II", size[0] << 16, size[1] << 16),
    )  # fmt: skip
    media_header = full_box(
        b"mdhd", 1, 0, struct.pack(">QQIQHH", 0, 0, timescale, duration, 0x55C4, 0)
    )
    handler = full_box(b"hdlr", 0, 0, bytes(4), b"vide", bytes(12), b"VideoHandler\0")
    data = box(b"dinf", full_box(b"dref", 0, 0, struct.pack(">I", 1), full_box(b"url ", 0, 1)))
    empty = struct.pack(">I", 0)
    none = (
        full_box(b"stts", 0, 0, empty),
        full_box(b"stsc", 0, 0, empty),
        full_box(b"stsz", 0, 0, empty, empty),
        full_box(b"stco", 0, 0, empty),
    )
    information = box(
        b"minf",
        full_box(b"vmhd", 0, 1, bytes(8)),
        data,
        box(b"stbl", description, *(() if tables else none), following=tables),
        following=tables,
    )
    media = box(b"mdia", media_header, handler, information, following=tables)
    track = box(b"trak", track_header, media, following=tables)
    extends = b"" if tables else box(
        b"mvex", full_box(b"trex", 0, 0, struct.pack(">IIIII", 1, 1, 0, 0, 0))
    )  # fmt: skip
    return box(b"moov", movie_header, track, extends, following=tables)
