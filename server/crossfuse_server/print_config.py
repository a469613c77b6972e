"""The settings as a file: every one with its value, and where the value comes from."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from crossfuse_server.settings import load_settings, merge_sources

# A name and a password in a URL.
CREDENTIALS = re.compile(r"(?<=://)[^/@]*@")
MASK = "***@"


def config_text(
    flags: Mapping[str, Any] | None = None,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """The merged settings as TOML that `--config` takes.

    What has no value, and what holds a secret, is a comment: read back, it is as if not given.
    """
    given = merge_sources(flags, config, environment)
    settings = load_settings(flags, config, environment)
    lines = []
    for entry in fields(settings):
        origin = given[entry.name][1] if entry.name in given else "default"
        lines.append(_line(entry.name, getattr(settings, entry.name), origin))
    return "\n".join(lines) + "\n"


def _line(name: str, value: Any, origin: str) -> str:
    origin = " ".join(origin.split())
    if value is None:
        return f"# {name} has no value  # {origin}"
    text = _toml(value)
    masked = CREDENTIALS.sub(MASK, text)
    hidden = "# " if masked != text else ""
    return f"{hidden}{name} = {masked}  # {origin}"


def _toml(value: Any) -> str:
    if isinstance(value, bool | int | float):
        return repr(value).lower()
    # A string of TOML is one of JSON, but for this character.
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")
