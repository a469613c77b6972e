"""Writing a folder at once: a reader meets what was there, or all of the new, never half of it."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from crossfuse.errors import OutputError


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """An empty folder that takes the place of `folder` when the block ends without an error.

    Where something fails, what was in `folder` before stays there.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".") as scratch:
            fresh, replaced = Path(scratch) / "fresh", Path(scratch) / "replaced"
            fresh.mkdir()
            yield fresh
            if folder.exists():
                folder.rename(replaced)
            try:
                fresh.rename(folder)
            except OSError:
                if replaced.exists():
                    replaced.rename(folder)
                raise
    except OSError as error:
        raise OutputError(f"{folder}: not written: {error}") from error
