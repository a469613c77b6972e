"""Docstrings, help texts and comments as Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator

_CODE_SPAN = re.compile(r"(`[^`]*`)")
# An underscore inside of a word means nothing.
_SPECIAL = re.compile(r"([\\*<>\[\]|]|(?<!\w)_|_(?!\w))")


def escape(text: str) -> str:
    """Plain text whose characters mean nothing to Markdown; code spans stay."""
    parts = _CODE_SPAN.split(text)
    return "".join(
        part if position % 2 else _SPECIAL.sub(r"\\\1", part) for position, part in enumerate(parts)
    )


def one_line(text: str) -> str:
    """A short text for a list or a table."""
    return escape(" ".join(text.split()))


def sentence(text: str) -> str:
    """A phrase that begins small and has no full stop, as a sentence; names keep their letters."""
    first = text.partition(" ")[0]
    return (text[0].upper() + text[1:] if first.islower() else text).rstrip(".") + "."


def number(value: float) -> str:
    """Without an exponent."""
    return str(int(value)) if value == int(value) else str(value)


def markdown(text: str | None) -> str:
    """A docstring: paragraphs are escaped, tables and code keep their lines."""
    paragraphs = re.split(r"\n\s*\n", inspect.cleandoc(text or ""))
    return "\n\n".join(part for paragraph in paragraphs for part in _parts(paragraph))


def code(text: str, language: str = "text") -> str:
    """A fenced block."""
    return f"```{language}\n{text}\n```"


def table(header: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Cells are Markdown already."""
    names = list(header)
    lines = [names, ["---"] * len(names), *(list(row) for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _parts(paragraph: str) -> Iterator[str]:
    """Lines of prose, and below them lines that are indented or stand in columns."""
    lines = paragraph.splitlines()
    first = next((at for at, line in enumerate(lines) if _keeps_its_shape(line)), len(lines))
    if first < len(lines) and not lines[first].startswith(" "):
        first = 0  # a table without a word before it
    if first:
        yield escape("\n".join(lines[:first]))
    if first < len(lines):
        yield code(inspect.cleandoc("\n" + "\n".join(lines[first:])))


def _keeps_its_shape(line: str) -> bool:
    return line.startswith(("  ", "├", "└", "│")) or re.search(r"\S   +\S", line) is not None
