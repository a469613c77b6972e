"""metrics.jsonl: one JSON object a line, in the order of the steps."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from crossfuse.errors import InvalidInput, OutputError
from crossfuse.images import write_file

_SHOWN = 80
"""Characters of a wrong line in a message."""


class MetricsLog:
    """Appends lines; each is in the file before `append` returns."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def append(self, entry: Mapping[str, Any]) -> None:
        """Write one line; numbers that JSON has no word for become null."""
        line = json.dumps(finite(entry)) + "\n"
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line)
        except OSError as error:
            raise OutputError(f"{self.path}: line not written: {error.strerror}") from error

    def cut_after(self, step: int) -> None:
        """Drop what a killed run wrote after the step that it is resumed from."""
        if not self.path.is_file():
            return
        kept = [entry for entry in read_metrics(self.path) if entry["step"] <= step]
        write_file(self.path, "".join(json.dumps(entry) + "\n" for entry in kept).encode())


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """The entries of a metrics.jsonl; a last line that a killed run left unfinished is no entry."""
    try:
        *lines, _unfinished = path.read_bytes().split(b"\n")
    except OSError as error:
        raise InvalidInput(str(path), str(error.strerror), "the log of a run") from None
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if not isinstance(entry, dict):
            shown = repr(line.decode(errors="replace")[:_SHOWN])
            raise InvalidInput(f"{path}, line {number}", shown, "a JSON object")
        yield entry


def finite(value: Any) -> Any:
    """The value with None for every number that is not finite."""
    if isinstance(value, Mapping):
        return {key: finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [finite(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
