"""What a server above its capacity is held to, and the report of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from crossfuse_bench.conditions import conditions
from crossfuse_bench.load import Counted

# Side of the RAW pictures, and of those that take long to read.
SIZE = 64
FILE_SIZE = 1536
DEADLINE = 1.0
OVERLOAD = 3.0
LEAST_GOODPUT = 0.9
LEAST_GAIN = 3.0

# One pair takes 10 ms, whatever runs with it: 100 a second are the capacity.
PER_PAIR = 0.010
# A call of the batch-friendly engine takes 20 ms, whatever its batch.
PER_CALL = 0.020
# An engine that waits for the decoders.
PER_FILE = 0.001

# Of accepted calls, for a p99 within the deadline.
MOST_LATE = 0.01


@dataclass(slots=True)
class Pressure:
    """A server at its capacity and above it."""

    peak: Counted
    overload: Counted
    recovery: float
    """Seconds to the first answer after the load."""

    @property
    def goodput_share(self) -> float:
        """Goodput under overload over the peak."""
        return self.overload.goodput / self.peak.goodput

    @property
    def late_share(self) -> float:
        """Of the calls that were not refused: how many got no picture in time."""
        late = self.overload.codes["DEADLINE_EXCEEDED"]
        return late / max(late + self.overload.codes["OK"], 1)

    @property
    def is_good(self) -> bool:
        """Whether every bar is kept."""
        return (
            self.goodput_share >= LEAST_GOODPUT
            and self.overload.percentile(0.99) <= DEADLINE
            and self.late_share <= MOST_LATE
            and set(self.overload.codes) <= {"OK", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
        )


@dataclass(slots=True)
class Outcome:
    """What was counted."""

    engine: Pressure
    """Of an engine that is too slow for what comes."""
    decoders: Pressure
    """Of pictures that take longer to read than to fuse."""
    alone: Counted
    batched: Counted

    @property
    def gain(self) -> float:
        """Throughput with batches of 8 over that without."""
        return self.batched.goodput / self.alone.goodput

    @property
    def is_good(self) -> bool:
        """Whether every bar is kept."""
        return self.engine.is_good and self.decoders.is_good and self.gain >= LEAST_GAIN


def report(outcome: Outcome, seconds: float) -> str:
    """The outcome as Markdown."""
    pressures = (outcome.engine, outcome.decoders)

    def row(name: str, values: Callable[[Pressure], str], bar: str = "") -> str:
        return f"| {name} | {bar} | {' | '.join(map(values, pressures))} |"

    def statuses(pressure: Pressure) -> str:
        return ", ".join(f"{code} {n}" for code, n in sorted(pressure.overload.codes.items()))

    return "\n".join(
        [
            "# The server at three times its capacity",
            "",
            *conditions("grpcio", "protobuf", "numpy"),
            f"- Method: over loopback, {seconds:g} s for every run. Slow engine: RAW pictures of "
            f"{SIZE}x{SIZE}, {1e3 * PER_PAIR:g} ms a pair, no processor. Large files: PNG of "
            f"{FILE_SIZE}x{FILE_SIZE} of one grey to JPEG, {1e3 * PER_FILE:g} ms a pair in the "
            "engine. Peak: 8 callers without a pause. Overload: three times as many calls at "
            "constant spacing on 4 connections of one client, on the processors of the server, "
            f"each with a deadline of {DEADLINE:g} s; latency from the planned arrival.",
            "- Repeat it: `python -m crossfuse_bench.overload -o FILE.md`",
            "",
            f"All bars are **{'kept' if outcome.is_good else 'NOT kept'}**.",
            "",
            "| what | bar | slow engine | large files |",
            "| --- | ---: | ---: | ---: |",
            row("peak, pairs/s", lambda one: f"{one.peak.goodput:.1f}"),
            row(f"goodput at {OVERLOAD:g}x, pairs/s", lambda one: f"{one.overload.goodput:.1f}"),
            row(
                "goodput over peak",
                lambda one: f"{one.goodput_share:.3f}",
                f">= {LEAST_GOODPUT:g}",
            ),
            row(
                "p99 of answered calls, ms",
                lambda one: (
                    f"{1e3 * one.overload.percentile(0.99):.0f} "
                    f"({len(one.overload.latencies)} calls)"
                ),
                f"<= {1e3 * DEADLINE:g}",
            ),
            row(
                "accepted calls that were too late, %",
                lambda one: f"{100 * one.late_share:.2f}",
                f"<= {100 * MOST_LATE:g}",
            ),
            row(
                "median time to a refusal, ms",
                lambda one: f"{1e3 * one.overload.refused_in():.1f}",
            ),
            row("first answer after the load, ms", lambda one: f"{1e3 * one.recovery:.0f}"),
            row("statuses", statuses),
            "",
            "## Batching",
            "",
            f"An engine that takes {1e3 * PER_CALL:g} ms a call whatever its batch, 16 callers "
            "without a pause; `auto` found batches of 8 at warm-up.",
            "",
            "| batching | pairs/s | p50 ms | p99 ms |",
            "| --- | ---: | ---: | ---: |",
            *(
                f"| {name} | {run.goodput:.1f} | {1e3 * run.percentile(0.5):.0f} | "
                f"{1e3 * run.percentile(0.99):.0f} |"
                for name, run in (("off", outcome.alone), ("auto", outcome.batched))
            ),
            "",
            f"Gain: {outcome.gain:.2f} (bar {LEAST_GAIN:g}).",
            "",
        ]
    )
