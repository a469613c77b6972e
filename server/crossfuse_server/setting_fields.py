"""One setting: how it is declared, read from text, and checked."""

from __future__ import annotations

from dataclasses import Field, field
from pathlib import Path
from typing import Any

from crossfuse.errors import InvalidInput, UnknownName


def setting(default: Any, help_text: str, **metadata: Any) -> Any:
    """A field of the settings; `metadata` may hold kind, example, least, most and choices."""
    return field(default=default, metadata={"help": help_text, **metadata})


def setting_type(entry: Field[Any]) -> type:
    """The type a setting is read as."""
    kind: type = entry.metadata.get("kind", type(entry.default))
    return Path if kind is type(None) else kind


def typed(entry: Field[Any], value: Any, source: str) -> Any:
    """A value of a file or a variable as the type of its setting."""
    kind = setting_type(entry)
    if kind is Path:
        return Path(str(value)) if value != "" else None
    if kind is bool:
        return _switch(entry, value, source)
    valid = f"a value like {entry.metadata.get('example', entry.default)!r}"
    if isinstance(value, bool) or (isinstance(value, float) and kind is int):
        raise InvalidInput(f"{entry.name} in {source}", repr(value), valid)
    try:
        return kind(value)
    except (TypeError, ValueError):
        raise InvalidInput(f"{entry.name} in {source}", repr(value), valid) from None


def check(entry: Field[Any], value: Any) -> None:
    """Refuse what is out of range, or none of the choices."""
    least, most = entry.metadata.get("least"), entry.metadata.get("most")
    choices = entry.metadata.get("choices")
    if value is None:
        return
    if choices is not None and value not in choices:
        raise UnknownName(entry.name, str(value), choices)
    # Written so that NaN, which compares false with everything, is refused.
    if least is not None and not value >= least:
        raise InvalidInput(entry.name, str(value), f"{least} or more")
    if most is not None and not value <= most:
        raise InvalidInput(entry.name, str(value), f"{most} or less")


def _switch(entry: Field[Any], value: Any, source: str) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise InvalidInput(f"{entry.name} in {source}", repr(value), "true or false")
    return str(value).lower() == "true"
