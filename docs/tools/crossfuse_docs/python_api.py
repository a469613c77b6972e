"""The reference of the Python API: what the public packages export, from their docstrings."""

from __future__ import annotations

import dataclasses
import enum
import importlib
import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from crossfuse_docs.prose import code, markdown, one_line
from crossfuse_docs.source import constant, field_docs

PACKAGES = (
    "crossfuse",
    "crossfuse.client",
    "crossfuse.aio",
    "crossfuse.video",
    "crossfuse.calibration",
    "crossfuse.images",
    "crossfuse.metrics",
    "crossfuse.evaluation",
    "crossfuse.bundles",
    "crossfuse.engines",
    "crossfuse.synthetic",
    "crossfuse.errors",
)
INTRODUCTION = """\
# Python

Everything that is exported. Infrared is `uint8` or `uint16` of shape HxW, visible `uint8` of
shape HxWx3 (RGB) or HxW (grey), fused `uint8` in the shape of the visible picture. What stands
in a package but not here may change without notice."""
WIDTH = 92


def page() -> str:
    """docs/reference/python.md"""
    parts = [INTRODUCTION]
    described: set[int] = set()
    for package in PACKAGES:
        module = importlib.import_module(package)
        parts += [f"## {package}", markdown((module.__doc__ or "").partition("\n\n")[0])]
        for name in exported(module):
            value = getattr(module, name)
            if inspect.ismodule(value) or name == "__version__":
                continue
            if callable(value) and id(value) in described:
                continue
            described.add(id(value))
            parts += _entry(module, name, value)
    return "\n\n".join(part for part in parts if part) + "\n"


def exported(module: ModuleType) -> list[str]:
    """The names of `__all__`, or of what a module without one defines."""
    names: list[str] = getattr(module, "__all__", [])
    return names or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and getattr(value, "__module__", "") == module.__name__
        and (inspect.isclass(value) or inspect.isfunction(value))
    ]


def _entry(module: ModuleType, name: str, value: Any) -> Iterator[str]:
    yield f"### {module.__name__}.{name}"
    if inspect.isclass(value):
        yield from _class(name, value)
    elif inspect.isfunction(value):
        yield code(_signature(name, value), "python")
        yield markdown(value.__doc__)
    else:
        found = constant(module.__name__, name)
        if found is not None:
            yield code(f"{name} = {found.value}", "python")
            yield markdown(found.doc)


def _class(name: str, kind: type) -> Iterator[str]:
    bases = [base.__name__ for base in kind.__bases__ if base.__module__.startswith("crossfuse")]
    if issubclass(kind, enum.Enum):
        yield markdown(kind.__doc__)
        yield "\n".join(f"- `{name}.{member.name}`" for member in kind)
        return
    if issubclass(kind, Exception):
        yield f"An error; a `{'`, `'.join(bases)}`." if bases else "An error."
    elif getattr(kind, "_is_protocol", False):
        yield "A protocol: any object with these methods will do."
    else:
        yield code(_signature(name, kind), "python")
    yield markdown(kind.__doc__)
    fields = _fields(kind)
    if fields:
        yield fields
    methods = list(_methods(kind))
    if methods:
        yield "\n\n".join(methods)


def _fields(kind: type) -> str:
    if not dataclasses.is_dataclass(kind):
        return ""
    docs = field_docs(kind)
    lines = [
        f"- `{entry.name}`" + (f": {one_line(docs[entry.name])}" if docs.get(entry.name) else "")
        for entry in dataclasses.fields(kind)
        if not entry.name.startswith("_")
    ]
    return "\n".join(lines) if any(docs.values()) else ""


def _methods(kind: type) -> Iterator[str]:
    seen: set[str] = set()
    for owner in kind.__mro__:
        if not owner.__module__.startswith("crossfuse"):
            continue
        for name, member in vars(owner).items():
            if name.startswith("_") or name in seen:
                continue
            seen.add(name)
            if isinstance(member, property):
                yield f"`.{name}`: {one_line(inspect.getdoc(member) or '')}"
            elif isinstance(member, classmethod | staticmethod):
                yield _method(name, member.__func__, inspect.getdoc(member))
            elif inspect.isfunction(member):
                yield _method(name, member, inspect.getdoc(member))


def _method(name: str, function: Callable[..., Any], doc: str | None) -> str:
    return f"{code(_signature('.' + name, function), 'python')}\n\n{markdown(doc)}"


def _signature(name: str, value: Callable[..., Any]) -> str:
    signature = inspect.signature(value)
    words = []
    starred = False
    for parameter in signature.parameters.values():
        if parameter.name in ("self", "cls"):
            continue
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            words.append("*")
            starred = True
        words.append(_parameter(parameter))
        starred = starred or parameter.kind is parameter.VAR_POSITIONAL
    result = signature.return_annotation
    arrow = "" if result in (signature.empty, None) else f" -> {_annotation(result)}"
    line = f"{name}({', '.join(words)}){arrow}"
    if len(line) <= WIDTH:
        return line
    return f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){arrow}"


def _parameter(parameter: inspect.Parameter) -> str:
    text = str(parameter.replace(annotation=parameter.empty, default=parameter.empty))
    annotated = parameter.annotation is not parameter.empty
    if annotated:
        text += f": {_annotation(parameter.annotation)}"
    if parameter.default is not parameter.empty:
        default = repr(parameter.default)
        text += f" = {default}" if annotated else f"={default}"
    return text


def _annotation(annotation: Any) -> str:
    return str(annotation if isinstance(annotation, str) else inspect.formatannotation(annotation))
