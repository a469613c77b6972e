"""Which jobs run next, and together: clients in turn, one shape, and no longer wait than allowed.

Nothing here waits or locks: every decision that depends on time gets `now`.
"""

from __future__ import annotations

import math
from bisect import insort
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from crossfuse_server.jobs import Job


@dataclass(frozen=True, slots=True)
class BatchRules:
    """How jobs of one shape are put together; by default they are not."""

    max_batch: int = 1
    max_delay: float = 0.0
    """Seconds a job may wait for others to run with, beyond the wait for a free engine."""
    preferred: tuple[int, ...] = ()
    """Sizes the engine is best at: as soon as one is reached nobody waits any longer."""

    def size_now(self, waiting: int, oldest_wait: float) -> int:
        """How many of so many jobs of one shape to run now; 0 to wait for more."""
        reached = max((size for size in self.preferred if size <= waiting), default=0)
        if waiting >= self.max_batch:
            return self.max_batch
        if reached:
            return reached
        return waiting if oldest_wait >= self.max_delay else 0


class Pending:
    """The jobs that wait.

    Each client has a line of its own, by priority and then by arrival, and the lines take turns.
    So a client that asks for much waits for itself, and its priorities order its own calls only.
    """

    def __init__(self, rules: BatchRules) -> None:
        self.rules = rules
        self._lines: OrderedDict[str, list[Job]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def __iter__(self) -> Iterator[Job]:
        for line in self._lines.values():
            yield from line

    def add(self, job: Job) -> None:
        """Let a job wait."""
        line = self._lines.setdefault(job.client, [])
        insort(line, job, key=lambda other: -other.priority)

    def remove(self, job: Job) -> bool:
        """Take a job out of its line; False when it is not there any more."""
        line = self._lines.get(job.client, [])
        if job not in line:
            return False
        line.remove(job)
        if not line:
            del self._lines[job.client]
        return True

    def pixels_ahead(self, client: str, priority: int) -> int:
        """Of the jobs that would run before one that came now."""
        mine = [job for job in self._lines.get(client, []) if job.priority >= priority]
        turns = len(mine) + 1
        others = (line[:turns] for name, line in self._lines.items() if name != client)
        return sum(job.pixels for line in (mine, *others) for job in line)

    def next_batch(self, now: float) -> list[Job]:
        """The jobs to run now, removed; none while it is worth waiting for more."""
        together = self._together()
        if not together:
            return []
        oldest_wait = now - min(job.queued_at for job in together)
        batch = together[: self.rules.size_now(len(together), oldest_wait)]
        for job in batch:
            self.remove(job)
            if job.client in self._lines:
                self._lines.move_to_end(job.client)
        return batch

    def next_time(self) -> float:
        """When `next_batch` will have a batch without another job coming; infinite when empty."""
        return min((job.queued_at for job in self._together()), default=math.inf) + (
            self.rules.max_delay
        )

    def _together(self) -> list[Job]:
        """The next job and those that may run with it: heads of the lines, of one shape."""
        lines = [list(line) for line in self._lines.values()]
        found: list[Job] = []
        while lines and len(found) < self.rules.max_batch:
            left = []
            for line in lines:
                if len(found) == self.rules.max_batch:
                    break
                if found and line[0].shape != found[0].shape:
                    continue  # what stands behind it must not overtake it
                found.append(line.pop(0))
                if line:
                    left.append(line)
            lines = left
        return found
