"""What is read from files that operators change while the server runs: tokens, certificates."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

from crossfuse.errors import InvalidInput

log = logging.getLogger(__name__)

T = TypeVar("T")

Signature = tuple[tuple[int, int, int] | None, ...]


class ChangingFiles(Generic[T]):
    """The value that `read` makes of some files, made anew when one of them has changed.

    Files that are missing, half written or do not belong together leave the value as it was; the
    log says so once for each state they are in. Raises for the first value.
    """

    def __init__(
        self, name: str, paths: Sequence[Path], read: Callable[[], T], *, every: float
    ) -> None:
        self._name = name
        self._paths = paths
        self._read = read
        self._every = every
        self._lock = threading.Lock()
        self._signature = self._look()
        self._value = read()
        self._looked_at = time.monotonic()

    def get(self) -> T:
        """The value; the files are looked at when the last look is `every` seconds old."""
        due = time.monotonic() - self._looked_at >= self._every
        if due and self._lock.acquire(blocking=False):  # one caller looks, the others go on
            try:
                if self._look() != self._signature:
                    self._read_again()
                self._looked_at = time.monotonic()
            finally:
                self._lock.release()
        return self._value

    def reread(self) -> None:
        """Read the files even if they seem not to have changed."""
        with self._lock:
            self._read_again()

    def _read_again(self) -> None:
        self._signature = signature = self._look()
        try:
            value = self._read()
            if self._look() != signature:
                raise InvalidInput(self._name, "files that change while they are read", "a retry")
        except (InvalidInput, OSError) as error:
            log.error("%s: what served before serves on: %s", self._name, error)
            return
        self._value = value
        log.info("%s: read again", self._name)

    def _look(self) -> Signature:
        return tuple(map(_stat, self._paths))


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def warn_of_readers(name: str, path: Path) -> None:
    """Say when every user of this machine may read a secret."""
    if os.name == "posix" and path.stat().st_mode & 0o004:
        log.warning("%s can be read by every user of this machine; valid: chmod 600", name)
