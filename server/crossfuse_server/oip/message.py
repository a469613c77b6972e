"""An inference request as it came: what can be told of it without decoding it.

Decoded, a message can take dozens of times its bytes: of fields of a byte or two, by the million.
Only tensors may be large, so everything beside them is bounded here, and typed tensors count for
what they become. The rules of the wire: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from google.protobuf.message import DecodeError

from crossfuse.errors import InvalidInput
from crossfuse.oip import ModelInferRequest
from crossfuse_server.logs import LONGEST_REQUEST_ID

# Names, shapes and parameters of a handful of tensors take some hundred bytes.
MOST_BESIDE_TENSORS = 64 * 1024

# A value of one byte becomes one of up to eight.
TYPED_GROWTH = 8

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
FIXED_SIZES = {FIXED64: 8, FIXED32: 4}
LONGEST_VARINT = 10

_REQUEST = ModelInferRequest.DESCRIPTOR.fields_by_name
_INPUT = _REQUEST["inputs"].message_type.fields_by_name
_CONTENTS = _INPUT["contents"].message_type.fields_by_name
ID = (_REQUEST["id"].number,)
RAW = (_REQUEST["raw_input_contents"].number,)
INPUT = (_REQUEST["inputs"].number,)
CONTENTS = (*INPUT, _INPUT["contents"].number)
TYPED = {(*CONTENTS, field.number) for name, field in _CONTENTS.items() if name != "bytes_contents"}


class InferMessage:
    """One ModelInferRequest; decoded once, when its turn comes."""

    def __init__(self, data: bytes) -> None:
        found = _Look(data)
        self.request_id = found.request_id
        self.growth = TYPED_GROWTH * found.typed
        """Bytes that it takes when it is decoded, beyond those it has now."""
        self.weight = len(data) + self.growth
        self._data = data

    def check_id(self) -> None:
        """Refuse an id that nobody wants in a log."""
        if len(self.request_id) > LONGEST_REQUEST_ID:
            raise InvalidInput(
                "id", f"{len(self.request_id)} characters", f"at most {LONGEST_REQUEST_ID}"
            )

    def decode(self) -> Any:
        """The ModelInferRequest; the bytes are let go of."""
        data, self._data = self._data, b""
        try:
            return ModelInferRequest.FromString(data)
        except DecodeError as error:
            raise undecodable(len(data), str(error)) from None


class _Field(NamedTuple):
    number: int
    kind: int
    begin: int
    """Of the field."""
    start: int
    """Of its content."""
    end: int


class _Look:
    """One look through a message: its id, and how many bytes are in typed tensors."""

    def __init__(self, data: bytes) -> None:
        self.request_id = ""
        self.typed = 0
        self._beside = 0
        self._data = data
        self._walk(0, len(data), ())

    def _walk(self, start: int, end: int, above: tuple[int, ...]) -> None:
        for field in self._fields(start, end):
            path = (*above, field.number)
            size = field.end - field.start
            has_bytes = field.kind == BYTES
            if has_bytes and path in (INPUT, CONTENTS):
                self._walk(field.start, field.end, path)
                size = 0
            elif has_bytes and path in TYPED:
                self.typed += size
                size = 0
            elif has_bytes and path == RAW:
                size = 0
            elif has_bytes and path == ID:
                self.request_id = self._data[field.start : field.end].decode(errors="replace")
            self._beside += size + field.start - field.begin
            if self._beside > MOST_BESIDE_TENSORS:
                raise InvalidInput(
                    "message",
                    f"more than {MOST_BESIDE_TENSORS} bytes beside the values of its tensors",
                    "raw_input_contents, or packed numbers in contents, and little else",
                )

    def _fields(self, start: int, end: int) -> Iterator[_Field]:
        position = start
        while position < end:
            begin = position
            tag, position = self._varint(position)
            number, kind = tag >> 3, tag & 7
            stop = position
            if kind == VARINT:
                _, stop = self._varint(position)
            elif kind == BYTES:
                length, position = self._varint(position)
                stop = position + length
            elif kind in FIXED_SIZES:
                stop = position + FIXED_SIZES[kind]
            else:
                raise undecodable(len(self._data), f"a field of kind {kind}")
            if stop > end:
                raise undecodable(len(self._data), "a field longer than what holds it")
            yield _Field(number, kind, begin, position, stop)
            position = stop

    def _varint(self, position: int) -> tuple[int, int]:
        """A number and where it ends."""
        value = 0
        for count, byte in enumerate(self._data[position : position + LONGEST_VARINT]):
            value |= (byte & 0x7F) << (7 * count)
            if byte < 0x80:
                return value, position + count + 1
        raise undecodable(len(self._data), "a number without an end")


def undecodable(size: int, reason: str, message: str = "ModelInferRequest") -> InvalidInput:
    """The error of bytes that are no message."""
    return InvalidInput(
        "message",
        f"{size} bytes that cannot be decoded ({reason})",
        f"a {message} of the Open Inference Protocol",
    )
