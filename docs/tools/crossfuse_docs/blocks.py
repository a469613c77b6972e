"""The commands that the documentation shows, and which of them can be run anywhere.

Fenced blocks of `bash` and `python` in docs/index.md and docs/guides are run from top to bottom, in
an empty folder for each page. Comments that nobody sees, in the lines above a block, say otherwise:

  <!-- skip: needs two cameras -->             it is not run, and why
  <!-- background: crossfuse health ... -->    it goes on until the page ends; what waits for it
  <!-- exit code: 1 -->                        it fails, as the page says

and at the top of a page, `<!-- given: pair, folders -->` names files that its reader already has.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

BLOCK = re.compile(
    r"(?P<notes>(?:<!--[^>]*?-->\n)*)^(?P<indent> *)```(?P<language>bash|python)\n"
    r"(?P<body>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
NOTE = re.compile(r"<!-- (?P<kind>[a-z ]+): (?P<text>.*?) -->", re.DOTALL)
GIVEN = re.compile(r"<!-- given: (.*?) -->")
INDENTED = re.compile(r"^    \S.*(?:\n    .*)*", re.MULTILINE)
FENCED = re.compile(r"^```(?P<language>[^\n]*)\n(?P<body>.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|-m )(crossfuse .*)|'(crossfuse [^']*)'")
SHELL = ("", "bash", "sh", "console")
KINDS = ("skip", "background", "exit code", "given")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: str
    line: int
    language: str
    body: str
    skip: str = ""
    """Why it is not run."""
    background: str = ""
    """The command that succeeds when it is ready."""
    exit_code: int = 0


def guide_pages(root: Path) -> list[str]:
    """The pages whose commands are run, below docs/."""
    docs = root / "docs"
    pages = [docs / "index.md", *sorted((docs / "guides").glob("*.md"))]
    return [path.relative_to(docs).as_posix() for path in pages]


def given(root: Path, page: str) -> list[str]:
    """The names of what the reader of a page has."""
    found = GIVEN.search((root / "docs" / page).read_text(encoding="utf-8"))
    return [word.strip() for word in found[1].split(",")] if found else []


def blocks(root: Path, page: str) -> list[Block]:
    """The blocks of a page, in order."""
    text = (root / "docs" / page).read_text(encoding="utf-8")
    found = []
    for match in BLOCK.finditer(text):
        notes = {note["kind"]: note["text"] for note in NOTE.finditer(match["notes"])}
        unknown = set(notes) - set(KINDS)
        if unknown:
            raise ValueError(f"docs/{page}: notes {unknown}; valid: {', '.join(KINDS)}")
        indent = len(match["indent"])
        found.append(
            Block(
                page=page,
                line=text.count("\n", 0, match.start("language")) + 1,
                language=match["language"],
                body="\n".join(line[indent:] for line in match["body"].splitlines()),
                skip=notes.get("skip", ""),
                background=notes.get("background", ""),
                exit_code=int(notes.get("exit code", 0)),
            )
        )
    return found


def command_lines(text: str) -> Iterator[list[str]]:
    """The words of every `crossfuse` command line in the code of any Markdown file."""
    prose = FENCED.sub("", text)
    code = [match["body"] for match in FENCED.finditer(text) if match["language"] in SHELL]
    code += INDENTED.findall(prose)
    for part in code:
        for line in re.sub(r"\\\n\s*", " ", part).splitlines():
            for command in re.split(r"\s*(?:&&|\||;|\$\()\s*", line.strip().rstrip("&)")):
                found = COMMAND.search(command)
                if found is not None and "..." not in command:
                    try:
                        words = shlex.split(found[1] or found[2], comments=True)
                    except ValueError:
                        continue
                    yield _without_redirects(words)[1:]


def _without_redirects(words: list[str]) -> list[str]:
    for position, word in enumerate(words):
        if word in (">", ">>", "2>", "<"):
            return words[:position]
    return words
