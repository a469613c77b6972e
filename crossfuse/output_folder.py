"""Where results go: a folder that is made, or refused by the option that names it."""

from __future__ import annotations

from pathlib import Path

from crossfuse.errors import InvalidInput


def make_output_folder(folder: Path, field: str = "--output") -> Path:
    """The folder, with what leads to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            field, f"{folder} ({error.strerror})", "a folder that can be made"
        ) from error
    return folder
