"""Protocol buffers' text format, as far as a Triton configuration needs it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias


class Name(str):
    """The name of an enum's value, which is written without quotes."""

    __slots__ = ()


Scalar: TypeAlias = Name | str | bool | int
Value: TypeAlias = "Scalar | Mapping[str, Value] | Sequence[Value]"


def to_text(message: Mapping[str, Value]) -> str:
    """A message; a sequence is a repeated field, and an empty one is left out."""
    return "\n".join(_fields(message, "")) + "\n"


def _fields(message: Mapping[str, Value], indent: str) -> Iterator[str]:
    for name, value in message.items():
        repeated = isinstance(value, Sequence) and not isinstance(value, str)
        for entry in value if repeated else [value]:  # type: ignore[union-attr]
            if isinstance(entry, Mapping):
                yield f"{indent}{name} {{"
                yield from _fields(entry, indent + "  ")
                yield f"{indent}}}"
            else:
                yield f"{indent}{name}: {_scalar(entry)}"


def _scalar(value: Value) -> str:
    if isinstance(value, Name):
        return value
    # JSON's strings, numbers and booleans are also those of the text format.
    return json.dumps(value)
