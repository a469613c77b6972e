"""Event files, read back by an independent reader of the format."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from crossfuse_training.runs.events import EventFile, _checksum

Field = tuple[int, int | bytes]


def varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def message(data: bytes) -> Iterator[Field]:
    """The fields of a protocol-buffer message, as they are on the wire."""
    at = 0
    while at < len(data):
        key, at = varint(data, at)
        if key & 7 == 0:
            value, at = varint(data, at)
            yield key >> 3, value
        else:
            size = {1: 8, 5: 4}.get(key & 7)
            if size is None:
                size, at = varint(data, at)
            yield key >> 3, data[at : at + size]
            at += size


def records(path: Path) -> Iterator[bytes]:
    data, at = path.read_bytes(), 0
    while at < len(data):
        (size,) = struct.unpack_from("<Q", data, at)
        assert data[at + 8 : at + 12] == _checksum(data[at : at + 8])
        content = data[at + 12 : at + 12 + size]
        assert data[at + 12 + size : at + 16 + size] == _checksum(content)
        yield content
        at += 16 + size


def test_the_checksum_is_the_masked_crc_32c() -> None:
    # CRC-32C of "123456789" is 0xE3069283 (RFC 3720); the mask turns it right by 15 and adds.
    crc = 0xE3069283
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert _checksum(b"123456789") == struct.pack("<I", masked)


def test_scalars_are_read_back(tmp_path: Path) -> None:
    file = EventFile(tmp_path, 300)
    file.scalars(301, {"train/total": 2.5, "held-out/loss": -1e-3})
    (path,) = tmp_path.iterdir()
    assert ".tfevents." in path.name
    version, start, scalars = (dict(message(record)) for record in records(path))
    assert version[3] == b"brain.Event:2"
    assert (start[2], start[7]) == (301, b"\x08\x01")
    assert scalars[2] == 301
    summary = scalars[5]
    assert isinstance(summary, bytes)
    points = {}
    for _, value in message(summary):
        assert isinstance(value, bytes)
        point = dict(message(value))
        assert isinstance(point[1], bytes)
        assert isinstance(point[2], bytes)
        points[point[1].decode()] = struct.unpack("<f", point[2])[0]
    assert points == pytest.approx({"train/total": 2.5, "held-out/loss": -1e-3})
