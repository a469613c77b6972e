"""What a soak found: whether anything grew, and the report of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from crossfuse_bench.conditions import conditions
from crossfuse_bench.soak_server import Holds

MOST_SLOPE_MB = 1.0
DOCUMENTED = {"OK", "INVALID_ARGUMENT", "RESOURCE_EXHAUSTED", "CANCELLED", "DEADLINE_EXCEEDED"}


@dataclass(frozen=True, slots=True)
class Sample:
    """What the server held, so many seconds after the start."""

    at: float
    held: Holds


@dataclass(slots=True)
class Outcome:
    """Everything that was counted."""

    codes: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    """At the end of each rest."""
    reloads: int = 0

    @property
    def second_half(self) -> list[Sample]:
        """After the warm-up."""
        return self.samples[len(self.samples) // 2 :]

    @property
    def slope(self) -> float:
        """Megabytes an hour, by least squares."""
        return self._line()[0]

    @property
    def slope_error(self) -> float:
        """Of the slope, if the samples scatter by chance."""
        return self._line()[1]

    @property
    def undocumented(self) -> set[str]:
        """Statuses that no caller should see."""
        return set(self.codes) - DOCUMENTED

    @property
    def is_good(self) -> bool:
        """Whether nothing grew, and every answer was a documented one."""
        grown = (self.growth(lambda held: held.threads), self.growth(lambda held: held.descriptors))
        return self.slope < MOST_SLOPE_MB and max(grown) <= 0 and not self.undocumented

    def _line(self) -> tuple[float, float]:
        later = self.second_half
        hours = np.array([sample.at for sample in later]) / 3600
        line, scatter = np.polyfit(hours, [sample.held.memory_mb for sample in later], 1, cov=True)
        return float(line[0]), float(np.sqrt(scatter[0, 0]))

    def growth(self, read: Callable[[Holds], int]) -> int:
        """The median of the last tenth over that of the first tenth, after the warm-up."""
        later = [read(sample.held) for sample in self.second_half]
        tenth = max(len(later) // 10, 1)
        return int(np.median(later[-tenth:]) - np.median(later[:tenth]))


def report(outcome: Outcome, minutes: float, work_seconds: float, settled_seconds: float) -> str:
    """The outcome as Markdown."""
    threads = outcome.growth(lambda held: held.threads)
    pooled = outcome.growth(lambda held: held.pooled)
    event_engine = outcome.growth(lambda held: held.event_engine)
    descriptors = outcome.growth(lambda held: held.descriptors)
    later = outcome.second_half
    lines = [
        f"| {sample.at / 60:.1f} | {sample.held.memory_mb:.1f} | {sample.held.threads} "
        f"| {sample.held.pooled} | {sample.held.event_engine} | {sample.held.descriptors} |"
        for sample in outcome.samples[:: max(len(outcome.samples) // 20, 1)]
    ]
    return "\n".join(
        [
            "# Soak",
            "",
            *conditions("grpcio", "protobuf", "numpy"),
            f"- Method: {minutes:g} minutes of mixed load on one server over loopback, at once: "
            "unary calls RAW and PNG of 64x64 to 480x640, streams of both policies, some left in "
            "the middle, changed bytes, callers that cancel, run out of time, close their "
            "connection or crash in the middle of a message, and reloads, one in five broken. "
            f"Engines blend in numpy. Every {work_seconds:g} s the callers rest until the memory "
            f"has not fallen for {settled_seconds:g} s; the table is of what was held then.",
            f"- Repeat it: `python -m crossfuse_bench.soak -o FILE.md --minutes {minutes:g}`",
            "",
            f"Memory slope under {MOST_SLOPE_MB:g} MB/h, no growth of threads and descriptors in "
            "the second half, and documented statuses alone: "
            f"**{'kept' if outcome.is_good else 'NOT kept'}**.",
            "",
            "| what | value |",
            "| --- | ---: |",
            f"| memory slope in the second half, MB/h | {outcome.slope:.2f} |",
            f"| its standard error | {outcome.slope_error:.2f} |",
            f"| least and most memory there, MB | {min(s.held.memory_mb for s in later):.1f} to "
            f"{max(s.held.memory_mb for s in later):.1f} |",
            f"| growth of threads there, outside the pools and gRPC | {threads} |",
            f"| growth of threads there, in the pools, which are bounded | {pooled} |",
            "| growth of threads there, of gRPC's event engine, which lets them go after half a "
            f"minute of rest | {event_engine} |",
            f"| growth of descriptors there | {descriptors} |",
            f"| reloads | {outcome.reloads} |",
            f"| rounds by outcome | {dict(sorted(outcome.codes.items()))} |",
            f"| statuses that are not documented | {sorted(outcome.undocumented)} |",
            "",
            "| minute | memory MB | threads | threads in pools | threads of gRPC | descriptors |",
            "| ---: | ---: | ---: | ---: | ---: | ---: |",
            *lines,
            "",
        ]
    )
