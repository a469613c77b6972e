"""Links and headings of the repository's Markdown files."""

from __future__ import annotations

import posixpath
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

FENCE = re.compile(r"^(?P<mark> *(?:```+|~~~+)).*?^(?P=mark) *$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(?<=\]\()(?P<target>[^()\s]+)(?=(?: \"[^\"]*\")?\))")
_CODE_SPAN = re.compile(r"`[^`\n]*`")
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#*)?$", re.MULTILINE)
_ANCHOR = re.compile(r"<a (?:id|name)=\"([^\"]+)\"")


def markdown_files(root: Path) -> list[str]:
    """All Markdown files that belong to the repository, as paths from its root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    return sorted({path for path in listed.stdout.splitlines() if (root / path).is_file()})


def is_external(target: str) -> bool:
    """Whether a link leaves the repository."""
    return re.match(r"[a-z]+:", target) is not None


def resolve(source: str, target: str) -> tuple[str, str]:
    """The path from the root that a link in a file leads to, and the anchor in it."""
    path, _, anchor = unquote(target).partition("#")
    if not path:
        return source, anchor
    return posixpath.normpath(posixpath.join(posixpath.dirname(source), path)), anchor


def targets(text: str) -> Iterator[str]:
    """The targets of all links and pictures, except in code."""
    prose = FENCE.sub("", text)
    code = {span.start(): span.end() for span in _CODE_SPAN.finditer(prose)}
    for link in LINK.finditer(prose):
        if not any(start < link.start() < end for start, end in code.items()):
            yield link["target"]


def anchors(text: str) -> set[str]:
    """What a link may name after `#`."""
    prose = FENCE.sub("", text)
    return {slug(heading) for heading in _HEADING.findall(prose)} | set(_ANCHOR.findall(prose))


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub and the site make it."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("\\", "")
    text = re.sub(r"[^\w\- ]", "", text.replace("`", "")).strip().lower()
    return text.replace(" ", "-")


def problems(root: Path) -> list[str]:
    """Every link that leads nowhere: the file that has it, and why."""
    files = markdown_files(root)
    texts = {path: (root / path).read_text(encoding="utf-8") for path in files}
    found = []
    for source, text in texts.items():
        for target in targets(text):
            if is_external(target):
                continue
            path, anchor = resolve(source, target)
            if not (root / path).exists():
                found.append(f"{source}: {target}: no such file")
            elif anchor and anchor not in anchors(texts.get(path, "")):
                found.append(f"{source}: {target}: no such heading in {path}")
    return found
