"""What the interpreter forgets of a module: docstrings and definitions of fields and constants."""

from __future__ import annotations

import ast
import importlib
import inspect
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Definition:
    """The value of a constant as it is written, and the docstring below it."""

    value: str
    doc: str


def constant(module_name: str, name: str) -> Definition | None:
    """A constant or alias, in the module that defines it."""
    body = _tree(module_name).body
    for position, node in enumerate(body):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                if (alias.asname or alias.name) == name:
                    return constant(node.module, alias.name)
        target, value = _assignment(node)
        if target == name and value is not None:
            return Definition(ast.unparse(value), _docstring(body, position))
    return None


def field_docs(kind: type) -> dict[str, str]:
    """The docstrings below the fields of a class and of the classes it is made from."""
    docs: dict[str, str] = {}
    for owner in reversed(kind.__mro__):
        if owner.__module__.startswith("crossfuse"):
            body = _class(owner).body
            for position, node in enumerate(body):
                name, _ = _assignment(node)
                if name:
                    docs[name] = _docstring(body, position)
    return docs


@cache
def _tree(module_name: str) -> ast.Module:
    file = importlib.import_module(module_name).__file__
    assert file is not None, module_name
    return ast.parse(Path(file).read_text(encoding="utf-8"))


def _class(kind: type) -> ast.ClassDef:
    return next(
        node
        for node in ast.walk(_tree(kind.__module__))
        if isinstance(node, ast.ClassDef) and node.name == kind.__name__
    )


def _assignment(node: ast.stmt) -> tuple[str, ast.expr | None]:
    if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
        return node.target.id, node.value
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id, node.value
    return "", None


def _docstring(body: list[ast.stmt], position: int) -> str:
    if position + 1 < len(body):
        match body[position + 1]:
            case ast.Expr(value=ast.Constant(value=str(text))):
                return inspect.cleandoc(text)
    return ""
