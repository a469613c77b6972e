"""Reads a table of TOML into a frozen dataclass, and says where it breaks a rule.

Every key is checked before a value is used: an unknown key is refused with the nearest valid one,
a value of another type with its key, the value and what is valid. Keys are named from the top of
the file, such as `loss.ssim.weight`.
"""

from __future__ import annotations

import tomllib
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, asdict, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from crossfuse.errors import InvalidInput, UnknownName

_T = TypeVar("_T")

_KINDS = {int: "a whole number", float: "a number", bool: "true or false", str: "a text in quotes"}


def read_toml(path: Path) -> dict[str, Any]:
    """The content of a TOML file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput("config", f"{path} ({error.strerror})", "a file in TOML") from None
    except ValueError as error:
        raise InvalidInput(str(path), f"no TOML ({error})", "a file in TOML") from None


def read_table(cls: type[_T], table: Mapping[str, Any], where: str = "") -> _T:
    """A configuration from a table; `where` is the dotted key of the table, "" for the file."""
    kinds = typing.get_type_hints(cls)
    known: dict[str, Field[Any]] = {
        field.name: field
        for field in fields(cls)  # type: ignore[arg-type]
        if field.init
    }
    for key in table:
        if key not in known:
            raise UnknownName(f"key {_dotted(where, key)}", key, known)
    for name, field in known.items():
        required = field.default is MISSING and field.default_factory is MISSING
        if required and name not in table:
            raise InvalidInput(_dotted(where, name), "nothing", _describe(kinds[name]))
    values = {key: _value(kinds[key], table[key], _dotted(where, key)) for key in table}
    try:
        return cls(**values)
    except InvalidInput as error:
        # A configuration may name its field alone; the reader knows where the table stands.
        top = where.partition(".")[0].partition("[")[0]
        if top and not error.field.startswith(top):
            InvalidInput.__init__(error, _dotted(where, error.field), error.received, error.valid)
        raise


def apply_overrides(table: Mapping[str, Any], words: Iterable[str]) -> dict[str, Any]:
    """A copy of the table with `dotted.key=value` words applied; values are written as in TOML.

    A value that is no TOML is taken as text, so that quotes may be left out.
    """
    changed = _copied(table)
    for word in words:
        key, equals, text = word.partition("=")
        parts = key.split(".")
        if not equals or not all(parts):
            raise InvalidInput("override", repr(word), "key=value, such as loss.ssim.weight=5000")
        place = changed
        for depth, part in enumerate(parts[:-1], start=1):
            place = place.setdefault(part, {})
            if not isinstance(place, dict):
                raise InvalidInput(
                    "override", repr(word), f"a table at {'.'.join(parts[:depth])} to go into"
                )
        place[parts[-1]] = _parsed(text)
    return changed


def as_table(config: Any) -> dict[str, Any]:
    """A configuration as a table with all defaults spelt out; what is None is left out."""
    content: dict[str, Any] = _without_none(asdict(config))
    return content


def _value(kind: Any, value: Any, key: str) -> Any:
    """The value as the field's type, or an error that names its key."""
    origin = get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        kinds = [part for part in get_args(kind) if part is not type(None)]
        return _value(next((part for part in kinds if type(value) is part), kinds[0]), value, key)
    if is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise InvalidInput(key, repr(value), _describe(kind))
        return read_table(typing.cast("type[Any]", kind), value, key)
    if origin is tuple:
        return _tuple(kind, value, key)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise InvalidInput(key, repr(value), _describe(kind))
        inner = get_args(kind)[1]
        return {name: _value(inner, entry, _dotted(key, name)) for name, entry in value.items()}
    if kind is Any:
        return value
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise InvalidInput(key, repr(value), _describe(kind))
    return value


def _tuple(kind: Any, value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise InvalidInput(key, repr(value), _describe(kind))
    inner = get_args(kind)
    if len(inner) == 2 and inner[1] is Ellipsis:
        inner = (inner[0],) * len(value)
    if len(inner) != len(value):
        raise InvalidInput(key, repr(value), f"a list of {len(inner)} values")
    return tuple(
        _value(part, entry, f"{key}[{index}]")
        for index, (part, entry) in enumerate(zip(inner, value, strict=True))
    )


def _describe(kind: Any) -> str:
    """What a value of this type looks like in TOML."""
    origin = get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe(part) for part in get_args(kind) if part is not type(None))
    if origin is tuple:
        return f"a list, each entry {_describe(get_args(kind)[0])}"
    if is_dataclass(kind):
        return f"a table of {', '.join(field.name for field in fields(kind))}"
    if origin is not None and issubclass(origin, Mapping):
        return "a table"
    return _KINDS[kind]


def _parsed(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        return text


def _copied(table: Mapping[str, Any]) -> dict[str, Any]:
    return {
        key: _copied(value) if isinstance(value, Mapping) else value for key, value in table.items()
    }


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(entry) for key, entry in value.items() if entry is not None}
    if isinstance(value, list | tuple):
        return [_without_none(entry) for entry in value]
    return value


def _dotted(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key
