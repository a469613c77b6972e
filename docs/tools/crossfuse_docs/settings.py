"""The reference of the server's settings, and of the variables that are none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import Any

from crossfuse_docs.prose import number, one_line, sentence, table
from crossfuse_server.setting_fields import setting_type
from crossfuse_server.settings import ENVIRONMENT_PREFIX, ServerSettings

INTRODUCTION = """\
# Settings of the server

Each setting is a key of the `--config` file (TOML), a variable and a flag of `crossfuse serve`.
A flag wins over a variable, a variable over the file; a name that is not listed here is refused
with the nearest one. `crossfuse serve --print-config` prints all of them, and where each value
comes from. How they work together: [the server](../server.md)."""

OTHERS = """\
## Other variables

No settings of the server, and read by the library and the commands too."""

# What the code reads beside the settings; a test looks for others.
VARIABLES = {
    "CROSSFUSE_MODELS": "Folder of bundles on the search path, before `./models`.",
    "CROSSFUSE_ENGINES": "Folder of TensorRT engines, in place of `~/.cache/crossfuse/engines`.",
    "CROSSFUSE_DATA": "Folder of real pairs for training, export, benchmarks and tests.",
}
SECTION = re.compile(r"^    # (?P<title>\w.*)$|^    (?P<name>\w+): .* = setting\(", re.MULTILINE)


def page(root: Path) -> str:
    """docs/reference/settings.md"""
    known = {entry.name: entry for entry in fields(ServerSettings)}
    parts = [INTRODUCTION]
    for title, names in _sections(root):
        parts.append(f"## {title}")
        parts.append(table(("setting", "default", ""), (_row(known[name]) for name in names)))
    rows = ((f"`{name}`", text) for name, text in VARIABLES.items())
    parts += [OTHERS, table(("variable", ""), rows)]
    return "\n\n".join(parts) + "\n"


def _sections(root: Path) -> Iterator[tuple[str, list[str]]]:
    """The settings under the comments that head them in the source."""
    source = (root / "server" / "crossfuse_server" / "settings.py").read_text(encoding="utf-8")
    title, names = "", list[str]()
    for match in SECTION.finditer(source):
        if match["name"]:
            names.append(match["name"])
        else:
            if names:
                yield title, names
            title, names = match["title"], []
    if names:
        yield title, names


def _row(entry: Field[Any]) -> tuple[str, str, str]:
    variable = ENVIRONMENT_PREFIX + entry.name.upper()
    flag = "--" + entry.name.replace("_", "-")
    default = "none" if entry.default is None else f"`{_toml(entry.default)}`"
    return f"`{entry.name}`<br>`{variable}`<br>`{flag}`", default, _meaning(entry)


def _meaning(entry: Field[Any]) -> str:
    text = sentence(one_line(entry.metadata["help"]))
    choices, least, most = (entry.metadata.get(key) for key in ("choices", "least", "most"))
    if choices:
        return f"{text} One of {', '.join(f'`{choice}`' for choice in choices)}."
    if setting_type(entry) is bool or least is None:
        return text
    limit = "or more" if most is None else f"to {number(most)}"
    return f"{text} {number(least)} {limit}."


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)
