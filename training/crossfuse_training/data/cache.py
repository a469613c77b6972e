"""Decoded pairs kept in memory, up to a number of bytes."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from crossfuse_training.data.pair import Pair, PairFiles, read_pair


class PairCache:
    """Keeps the first pairs that fit and reads the others each time.

    Nothing is pushed out: where every pair comes once an epoch, the oldest is as likely to be
    needed next as any, and a cache that replaces would keep missing.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._pairs: dict[str, Pair] = {}
        self._bytes = 0
        self._lock = threading.Lock()

    @property
    def nbytes(self) -> int:
        """Memory of what is kept."""
        return self._bytes

    def has_room(self, size: int) -> bool:
        """Whether so many bytes more would be kept."""
        return self._bytes + size <= self._max_bytes

    def read(self, files: PairFiles) -> Pair:
        """The pair, kept or read."""
        pair = self._pairs.get(files.name)
        if pair is None:
            pair = read_pair(files)
            self.add(pair)
        return pair

    def add(self, pair: Pair) -> None:
        """Keep a pair where there is room for it."""
        with self._lock:
            if pair.name not in self._pairs and self.has_room(pair.nbytes):
                self._pairs[pair.name] = pair
                self._bytes += pair.nbytes

    def keep_only(self, files: Iterable[PairFiles]) -> None:
        """Let go of all other pairs, so that those that are needed find room."""
        names = {entry.name for entry in files}
        with self._lock:
            self._pairs = {name: pair for name, pair in self._pairs.items() if name in names}
            self._bytes = sum(pair.nbytes for pair in self._pairs.values())
