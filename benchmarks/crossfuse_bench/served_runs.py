"""A load in several independent runs, each made by processes of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from crossfuse_bench.closing import Closing
from crossfuse_bench.loaders import Loaders
from crossfuse_bench.served_load import Load, Served

RUNS = 3


class LoaderSets(Closing):
    """Starts loaders anew for the first, second and third run of a load, and keeps them for those
    of the loads after it: processes wait without cost, but take a second to start."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._sets: list[Loaders] = []

    def run(self, load: Load, runs: int = RUNS) -> list[Served]:
        """One run after the other, which share the time of the load; one may have no calls."""
        return [
            self._set(number).run(part)
            if part.callers or part.planned
            else Served(seconds=part.seconds)
            for number, part in enumerate(parts_of(load, runs))
        ]

    def close(self) -> None:
        """Kill all processes."""
        for loaders in self._sets:
            loaders.close()

    def _set(self, number: int) -> Loaders:
        while len(self._sets) <= number:
            self._sets.append(Loaders(self._processes))
        return self._sets[number]


def parts_of(load: Load, runs: int) -> list[Load]:
    """The load of each run: equal spans of time, with the calls that were planned in them."""
    seconds = load.seconds / runs
    return [
        replace(
            load,
            seconds=seconds,
            planned=[
                at - number * seconds
                for at in load.planned
                # What is rounded beyond the last span belongs to it.
                if min(int(at / seconds), runs - 1) == number
            ],
        )
        for number in range(runs)
    ]


def one_after_the_other(runs: Sequence[Served], seconds: float) -> Served:
    """All calls of runs that had so many seconds each."""
    whole = Served()
    spent = 0.0
    for number, run in enumerate(runs):
        starts = [number * seconds + start for start in run.starts]
        whole.add(replace(run, starts=starts))
        spent += run.seconds
    whole.seconds = spent
    return whole
