"""TensorBoard event files: scalars only, written without the tensorboard package.

An event file is a row of records: length (8 bytes), checksum of the length, content, checksum of
the content; each content is an Event message of protocol buffers. Of these messages only five
fields are needed, so they are put together here by hand.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from pathlib import Path

from crossfuse.errors import OutputError

_MASK = 0xA282EAD8
_POLYNOMIAL = 0x82F63B78


class EventFile:
    """Appends scalars to a new file of `folder`; TensorBoard joins the files of a folder."""

    def __init__(self, folder: Path, step: int) -> None:
        self._path = folder / f"events.out.tfevents.{time.time_ns() // 10**9}.step{step}"
        # The second record says that a session starts here: TensorBoard then forgets what an
        # interrupted one wrote for later steps.
        start = b"\x10" + _varint(step + 1) + _bytes_field(7, b"\x08\x01")
        self._append([_event(_bytes_field(3, b"brain.Event:2")), _event(start)])

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Write one point for each value."""
        points = b"".join(
            _bytes_field(1, _bytes_field(1, tag.encode()) + b"\x15" + struct.pack("<f", value))
            for tag, value in values.items()
        )
        self._append([_event(b"\x10" + _varint(step) + _bytes_field(5, points))])

    def _append(self, contents: list[bytes]) -> None:
        try:
            with self._path.open("ab") as file:
                file.write(b"".join(map(_record, contents)))
        except OSError as error:
            raise OutputError(f"{self._path}: events not written: {error.strerror}") from error


def _event(fields: bytes) -> bytes:
    return b"\x09" + struct.pack("<d", time.time()) + fields


def _bytes_field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2]) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _record(content: bytes) -> bytes:
    length = struct.pack("<Q", len(content))
    return length + _checksum(length) + content + _checksum(content)


def _checksum(content: bytes) -> bytes:
    """CRC-32C, rotated and shifted as the format wants it."""
    crc = 0xFFFFFFFF
    for byte in content:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return struct.pack("<I", ((crc >> 15 | crc << 17) + _MASK) & 0xFFFFFFFF)


def _table() -> list[int]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (_POLYNOMIAL if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _table()
