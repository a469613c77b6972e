"""A server at three times its capacity, and what batching is worth: counts, not promises.

    python -m crossfuse_bench.overload -o FILE.md [--seconds 10]

The real server in a process of its own, with engines whose time is known (they wait and compute
nothing), so that the server is measured and not a model. Calls arrive at a constant rate whether or
not those before them were answered; latency counts from the planned arrival.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from crossfuse_bench.conditions import conditions
from crossfuse_bench.load import Counted, closed_loop, connected, open_loop, raw_request
from crossfuse_bench.process import MeasuredProcess
from crossfuse_bench.stand_ins import NoEngine, write_bundle

SIZE = 64
DEADLINE = 1.0
OVERLOAD = 3.0
LEAST_GOODPUT = 0.9
LEAST_GAIN = 3.0

# One pair takes 10 ms, whatever runs with it: 100 a second are the capacity.
PER_PAIR = 0.010
# A call of the batch-friendly engine takes 20 ms, whatever its batch.
PER_CALL = 0.020

_kept: list[Any] = []  # a server that nobody holds stops


def start_server(engine: NoEngine, **settings: Any) -> int:
    """Start a server with an engine; returns its port."""
    # By name: this package must be usable where the server is not installed.
    app: Any = importlib.import_module("crossfuse_server.app")
    module: Any = importlib.import_module("crossfuse_server.settings")
    with tempfile.TemporaryDirectory() as models:
        write_bundle(Path(models), "none")
        values = {"port": 0, "models": Path(models), "default_model": "none", "warm_up": "64x64"}
        server = app.FusionServer(
            module.ServerSettings(**{**values, **settings}), lambda _: [engine]
        )
    server.start()
    while server.state.value == "loading":
        time.sleep(0.01)
    _kept.append(server)
    port: int = server.port
    return port


def slow_server() -> int:
    """Capacity 100 pairs a second."""
    return start_server(NoEngine(0.0, PER_PAIR))


def batching_server(batching: str) -> int:
    """20 ms a call, whatever the batch."""
    return start_server(NoEngine(PER_CALL, 0.0, "test:0"), batching=batching, max_batch=8)


@dataclass(slots=True)
class Outcome:
    """What was counted."""

    peak: Counted
    overload: Counted
    recovery: float
    alone: Counted
    batched: Counted
    rate: float

    @property
    def goodput_share(self) -> float:
        """Goodput under overload over the peak."""
        return self.overload.goodput / self.peak.goodput

    @property
    def gain(self) -> float:
        """Throughput with batches of 8 over that without."""
        return self.batched.goodput / self.alone.goodput

    @property
    def is_good(self) -> bool:
        """Whether every bar is kept."""
        return (
            self.goodput_share >= LEAST_GOODPUT
            and self.overload.percentile(0.99) <= DEADLINE
            and set(self.overload.codes) <= {"OK", "RESOURCE_EXHAUSTED"}
            and self.gain >= LEAST_GAIN
        )


def measure(seconds: float) -> Outcome:
    """All of it; about five times `seconds`."""
    request = raw_request(SIZE, SIZE)

    def wait_until_ready(address: str) -> None:
        with connected(address) as stub:
            stub.Fuse(request, timeout=60, wait_for_ready=True)

    with MeasuredProcess(slow_server) as server:
        wait_until_ready(server.address)
        peak = closed_loop(server.address, request, 8, seconds)
        rate = OVERLOAD * peak.goodput
        overload = open_loop(server.address, request, rate, seconds, DEADLINE)
        begin = time.perf_counter()
        wait_until_ready(server.address)
        recovery = time.perf_counter() - begin
    runs = []
    starts: list[Callable[[], int]] = [partial(batching_server, mode) for mode in ("off", "auto")]
    for start in starts:
        with MeasuredProcess(start) as server:
            wait_until_ready(server.address)
            runs.append(closed_loop(server.address, request, 16, seconds))
    return Outcome(peak, overload, recovery, runs[0], runs[1], rate)


def report(outcome: Outcome, seconds: float) -> str:
    """The outcome as Markdown."""
    over = outcome.overload
    codes = ", ".join(f"{code} {count}" for code, count in sorted(over.codes.items()))
    return "\n".join(
        [
            "# The server at three times its capacity",
            "",
            *conditions("grpcio", "protobuf", "numpy"),
            f"- Method: RAW pictures of {SIZE}x{SIZE} over loopback, {seconds:g} s for every run; "
            f"an engine that takes {1e3 * PER_PAIR:g} ms a pair and no processor. Peak: 8 callers "
            f"without a pause. Overload: {outcome.rate:.0f} calls/s at constant spacing on 4 "
            f"connections of one client, each with a deadline of {DEADLINE:g} s; latency from the "
            "planned arrival.",
            "- Repeat it: `python -m crossfuse_bench.overload -o FILE.md`",
            "",
            f"All bars are **{'kept' if outcome.is_good else 'NOT kept'}**.",
            "",
            "| what | bar | value |",
            "| --- | ---: | ---: |",
            f"| peak, pairs/s | | {outcome.peak.goodput:.1f} |",
            f"| goodput at {OVERLOAD:g}x, pairs/s | | {over.goodput:.1f} |",
            f"| goodput over peak | >= {LEAST_GOODPUT:g} | {outcome.goodput_share:.3f} |",
            f"| p99 of accepted calls, ms | <= {1e3 * DEADLINE:g} | "
            f"{1e3 * over.percentile(0.99):.0f} ({len(over.latencies)} calls) |",
            f"| median time to a refusal, ms | | {1e3 * over.refused_in():.1f} |",
            f"| first answer after the load, ms | | {1e3 * outcome.recovery:.0f} |",
            "",
            f"Statuses: {codes}.",
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


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and write the report; 1 when a bar is not kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--seconds", type=float, default=10.0, help="default: %(default)s")
    args = parser.parse_args(argv)
    outcome = measure(args.seconds)
    text = report(outcome, args.seconds)
    args.output.write_text(text, encoding="utf-8")
    print(text, file=sys.stderr)
    return int(not outcome.is_good)


if __name__ == "__main__":
    sys.exit(main())
