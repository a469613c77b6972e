"""The reference of training recipes, from the dataclasses that their tables fill."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Any

from crossfuse_docs.prose import markdown, one_line
from crossfuse_docs.source import field_docs

INTRODUCTION = """\
# Recipes of training

Every key of a recipe, a TOML file that `crossfuse train` is given. Keys without a default are
required. Any key can be replaced on the command line: `crossfuse train end-to-end --config F
optimiser.learning_rate=1e-4`. The recipes that ship are in
[`training/configs`](../../training/configs/); what training is:
[training](../../training/README.md)."""


def page() -> str:
    """docs/reference/recipes.md"""
    # Not at the top: it imports torch, which takes seconds.
    from crossfuse_training.recipe import Recipe

    return "\n\n".join([INTRODUCTION, *_table(Recipe, "")]) + "\n"


def _table(kind: type, path: str) -> Iterator[str]:
    yield f"## [{path}]" if path else "## Top level"
    doc = kind.__doc__ or ""
    if not doc.startswith(f"{kind.__name__}("):  # what dataclass makes up
        yield markdown(doc)
    hints = typing.get_type_hints(kind)
    docs = field_docs(kind)
    below: list[tuple[type, str]] = []
    lines = []
    for entry in dataclasses.fields(kind):
        found, many = _tables_in(hints[entry.name])
        if found is not None:
            name = f"{path}.{entry.name}" if path else entry.name
            below.append((found, f"[{name}]" if many else name))
        else:
            lines.append(_key(entry, hints[entry.name], docs.get(entry.name, "")))
    if lines:
        yield "\n".join(lines)
    for table, name in below:
        yield from _table(table, name)


def _key(entry: dataclasses.Field[Any], hint: Any, doc: str) -> str:
    default = ""
    if entry.default is not dataclasses.MISSING:
        default = (
            f", default `{_toml(entry.default)}`" if entry.default is not None else ", optional"
        )
    elif entry.default_factory is not dataclasses.MISSING:
        default = f", default `{_toml(entry.default_factory())}`"
    text = f": {one_line(doc)}" if doc else ""
    return f"- `{entry.name}` ({_kind(hint)}{default}){text}"


def _kind(hint: Any) -> str:
    names = [part for part in _parts(hint) if part is not types.NoneType]
    return " or ".join(_name(part) for part in names)


def _name(part: Any) -> str:
    origin = typing.get_origin(part)
    if origin is tuple:
        arguments = typing.get_args(part)
        kinds = dict.fromkeys(_kind(item) for item in arguments if item is not Ellipsis)
        return f"list of {', '.join(kinds)}"
    if origin is not None:
        return "table"
    return {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}.get(
        getattr(part, "__name__", str(part)), str(part)
    )


def _parts(hint: Any) -> tuple[Any, ...]:
    union = typing.get_origin(hint) in (typing.Union, types.UnionType)
    return typing.get_args(hint) if union else (hint,)


def _tables_in(hint: Any) -> tuple[type | None, bool]:
    """The dataclass a key holds, and whether there may be several."""
    for part in _parts(hint):
        if dataclasses.is_dataclass(part):
            return typing.cast(type, part), False
        if typing.get_origin(part) is tuple:
            for item in typing.get_args(part):
                if dataclasses.is_dataclass(item):
                    return typing.cast(type, item), True
    return None, False


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f"'{value}'" if "\\" in value else f'"{value}"'
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_toml, value))}]"
    return "{}" if value == {} else str(value)
