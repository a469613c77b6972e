"""The pages of docs/reference: written, or compared with what is there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from crossfuse_docs import (
    command_line,
    manifest,
    metric_definitions,
    protocol,
    python_api,
    recipes,
    settings,
    statuses,
)

NOTE = "<!-- Made from the code by `make reference`; do not edit. -->\n\n"
PAGES: dict[str, Callable[[Path], str]] = {
    "cli.md": lambda root: command_line.page(),
    "grpc.md": protocol.page,
    "manifest.md": manifest.page,
    "metrics.md": lambda root: metric_definitions.page(),
    "python.md": lambda root: python_api.page(),
    "recipes.md": lambda root: recipes.page(),
    "settings.md": settings.page,
    "statuses.md": lambda root: statuses.page(),
}


def folder(root: Path) -> Path:
    """Where the pages are."""
    return root / "docs" / "reference"


def content(root: Path, name: str) -> str:
    """A page as the code of this moment says it."""
    return NOTE + PAGES[name](root)


def write(root: Path) -> list[str]:
    """Write every page; returns those that changed."""
    changed = []
    folder(root).mkdir(exist_ok=True)
    for name in PAGES:
        path = folder(root) / name
        text = content(root, name)
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")
            changed.append(name)
    return changed
