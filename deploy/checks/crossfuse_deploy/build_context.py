"""What a build may copy: the files of a folder that its .dockerignore lets through."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path


class BuildContext:
    """The files of a folder that an engine would be sent."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = (folder / ".dockerignore").read_text(encoding="utf-8").splitlines()
        rules = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
        self._rules = [(_pattern(rule.removeprefix("!")), rule.startswith("!")) for rule in rules]
        # Below what no later rule may let in again nothing has to be looked at.
        self._roots = {rule[1:].split("/")[0] for rule in rules if rule.startswith("!")}

    def files(self, below: str = ".") -> Iterator[Path]:
        """Paths relative to the folder, of one file or of all files below a folder."""
        start = Path(os.path.normpath(below))
        if (self.folder / start).is_file():
            candidates = [start]
        else:
            candidates = [
                path.relative_to(self.folder)
                for root in sorted(self._roots)
                for path in _walk(self.folder / root)
            ]
        for path in candidates:
            inside = start == Path() or path == start or start in path.parents
            if inside and self.contains(path):
                yield path

    def contains(self, path: Path) -> bool:
        """Whether the last rule that speaks of the path, or of a folder above it, lets it in."""
        names = [path.as_posix(), *(parent.as_posix() for parent in path.parents if parent.name)]
        inside = True
        for pattern, lets_in in self._rules:
            if any(pattern.fullmatch(name) for name in names):
                inside = lets_in
        return inside


def _walk(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for folder, _, names in os.walk(path):
        yield from (Path(folder) / name for name in sorted(names))


def _pattern(rule: str) -> re.Pattern[str]:
    """Docker's patterns: `**` is any number of folders, `*` and `?` stay within one name."""
    text = re.escape(rule.strip("/"))
    text = text.replace(r"\*\*/", "(?:.*/)?").replace(r"\*\*", ".*")
    return re.compile(text.replace(r"\*", "[^/]*").replace(r"\?", "[^/]"))
