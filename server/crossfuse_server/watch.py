"""Watching the folders of bundles: a reload when something there has changed and is at rest."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from crossfuse.bundles import search_path
from crossfuse.errors import InvalidInput
from crossfuse_server.settings import ServerSettings

log = logging.getLogger(__name__)


def watch_folders(
    settings: ServerSettings, reload: Callable[[], object], ended: threading.Event
) -> None:
    """Call `reload` after a change; returns when `ended` is set.

    A bundle is written file by file: a change counts when the next look finds it as the last one.
    """
    loaded = seen = _look(settings.models)
    while not ended.wait(settings.watch_seconds):
        found = _look(settings.models)
        if found == seen and found != loaded:
            log.info("the bundles have changed")
            reload()
            loaded = found
        seen = found


def _look(models: Path | None) -> dict[Path, tuple[int, int]]:
    """Every file of every bundle, with its time of change and its size."""
    found: dict[Path, tuple[int, int]] = {}
    try:
        roots = search_path(models)
    except InvalidInput:  # the folder is gone, or is being exchanged for another one
        return found
    for root in roots:
        for path in root.glob("*/*/*"):
            try:
                stat = path.stat()
            except OSError:  # it went away in between
                continue
            found[path] = stat.st_mtime_ns, stat.st_size
    return found
