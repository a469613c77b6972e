"""Writes values and tables as TOML: recipes that can be run again, settings of a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def to_toml(table: Mapping[str, Any]) -> str:
    """The table as a TOML file: plain values first, then sub-tables, then lists of tables."""
    return "\n".join(_lines(table, "")).strip() + "\n"


def toml_value(value: Any) -> str:
    """A value as it is written in one line."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Mapping):
        entries = (f"{toml_value(key)} = {toml_value(entry)}" for key, entry in value.items())
        return f"{{{', '.join(entries)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(toml_value, value))}]"
    if isinstance(value, str):
        # A basic string of TOML escapes as JSON does, but for DEL, which JSON leaves as it is.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _lines(table: Mapping[str, Any], where: str) -> Iterator[str]:
    for key, value in table.items():
        if not isinstance(value, Mapping) and not _is_list_of_tables(value):
            yield f"{_key(key)} = {toml_value(value)}"
    for key, value in table.items():
        path = f"{where}.{_key(key)}" if where else _key(key)
        if isinstance(value, Mapping):
            yield f"\n[{path}]"
            yield from _lines(value, path)
        elif _is_list_of_tables(value):
            for entry in value:
                yield f"\n[[{path}]]"
                yield from _lines(entry, path)


def _is_list_of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else toml_value(key)
