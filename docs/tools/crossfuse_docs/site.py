"""Hooks of MkDocs: what the pages link to in the repository becomes part of the site.

Pages link to recipes, protos, examples and READMEs as files of the repository, which works wherever
the repository is browsed. On the site they become pages of their own below `repository/`: Markdown
as it is, other text as a block of code, a folder without README as the list of its files.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from crossfuse_docs.links import LINK, is_external, resolve, targets

ROOT = Path(__file__).resolve().parents[3]
PREFIX = "repository/"
LANGUAGES = {
    ".cpp": "cpp",
    ".json": "json",
    ".js": "javascript",
    ".mjs": "javascript",
    ".proto": "protobuf",
    ".py": "python",
    ".sh": "bash",
    ".toml": "toml",
    ".yaml": "yaml",
}
PICTURES = (".gif", ".jpg", ".png", ".svg")

# The path in the repository of every page that does not lie in docs/.
_origins: dict[str, str] = {}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add what is linked to, and what that links to."""
    _origins.clear()
    waiting = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    waiting += _linked_from_navigation(config.nav)
    seen = set(waiting)
    while waiting:
        path = waiting.pop()
        if not path.startswith("docs/"):
            files.append(_file(path, config))
        if path.endswith(".md"):
            for target in _leaving(path):
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links to files of the repository into links to their pages."""
    source = page.file.src_uri
    origin = _origins.get(source, f"docs/{source}")
    here = posixpath.dirname(source)

    def replace(match: Any) -> str:
        target: str = match["target"]
        if is_external(target) or target.startswith("#"):
            return target
        path, anchor = resolve(origin, target)
        relative = posixpath.relpath(_uri(_page_of(path)), here or ".")
        return f"{relative}#{anchor}" if anchor else relative

    return LINK.sub(replace, markdown)


def _linked_from_navigation(entry: Any) -> list[str]:
    """The repository's files that the navigation names."""
    if isinstance(entry, str):
        return [entry.removeprefix(PREFIX)] if entry.startswith(PREFIX) else []
    values = entry.values() if isinstance(entry, dict) else entry
    return [path for value in values for path in _linked_from_navigation(value)]


def _leaving(source: str) -> Iterator[str]:
    """The files and folders outside of docs/ that a Markdown file links to."""
    for target in targets((ROOT / source).read_text(encoding="utf-8")):
        if not is_external(target):
            path = _page_of(resolve(source, target)[0])
            if not path.startswith("docs/") and (ROOT / path).exists():
                yield path


def _page_of(path: str) -> str:
    """A folder is shown by its README, where it has one."""
    readme = posixpath.join(path, "README.md")
    return readme if (ROOT / readme).is_file() else path


def _uri(path: str) -> str:
    """Where the page of a file is on the site."""
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    plain = path.endswith(".md") or path.endswith(PICTURES)
    return f"{PREFIX}{path}" if plain else f"{PREFIX}{path}.md"


def _file(path: str, config: MkDocsConfig) -> File:
    uri, file = _uri(path), ROOT / path
    _origins[uri] = path
    if path.endswith(PICTURES):
        return File.generated(config, uri, content=file.read_bytes())
    return File.generated(config, uri, content=_content(path, file))


def _content(path: str, file: Path) -> str:
    if path.endswith(".md"):
        return file.read_text(encoding="utf-8")
    if file.is_dir():
        listed = sorted(entry.name + "/" * entry.is_dir() for entry in file.iterdir())
        names = "\n".join(f"- `{name}`" for name in listed if not name.startswith(("_", ".")))
        return f"# {path}\n\n{names}\n"
    text = file.read_text(encoding="utf-8")
    return f"# {file.name}\n\n`{path}`\n\n````{LANGUAGES.get(file.suffix, 'text')}\n{text}````\n"
