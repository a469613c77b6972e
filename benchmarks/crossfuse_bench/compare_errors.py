"""How often `bench compare` is wrong: equal builds that it flags, slowdowns that it misses.

    python -m crossfuse_bench.compare_errors -o FILE.md [--repetitions 20]

Each repetition makes three runs in fresh processes: one, another one of the same build, and one
whose engine is 20 % slower.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import crossfuse
from crossfuse.arrays import UInt8Array
from crossfuse.images import write_file
from crossfuse_bench.compare import Comparison, compare
from crossfuse_bench.conditions import conditions
from crossfuse_bench.engine_runs import in_process, timed_blocks
from crossfuse_bench.scenes import load_scenes

SLOWDOWN = 1.2
THRESHOLD = 0.1
HEIGHT, WIDTH, THREADS = 240, 320, 1


def run_once(model: str, seconds: float, factor: float) -> list[tuple[float, float]]:
    """Blocks of a run as (ms, ms of the fixed work), every call made longer by a factor."""
    fuse = crossfuse.load(model, device="cpu", threads=THREADS).engine.fuse

    def slowed(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        started = time.perf_counter()
        fused = fuse(ir, vis)
        end = started + factor * (time.perf_counter() - started)
        while time.perf_counter() < end:
            pass
        return fused

    scenes = load_scenes(HEIGHT, WIDTH)
    timed_blocks(slowed, scenes, 1, 0.0)
    blocks = timed_blocks(slowed, scenes, 1, seconds)
    return [(statistics.median(block.milliseconds), block.reference_ms) for block in blocks]


def report_of(model: str, seconds: float, processes: int, factor: float = 1.0) -> dict[str, Any]:
    """As much of a report as `compare` needs."""
    blocks = []
    for number in range(processes):
        found = in_process(THREADS, run_once, model, seconds, factor)
        blocks += [{"process": number, "ms": ms, "reference_ms": ref} for ms, ref in found]
    row = {"name": model, "kind": "engine", "measured": True, "p50": None, "blocks": blocks}
    return {"rows": [row]}


def markdown(
    model: str, equal: Sequence[Comparison], slowed: Sequence[Comparison], how: str
) -> str:
    """Error rates and every ratio."""
    wrong = sum(found.verdict != "same" for found in equal)
    missed = sum(found.verdict != "slower" for found in slowed)
    return "\n".join(
        [
            "# How often `bench compare` is wrong",
            "",
            *conditions("onnxruntime", "numpy"),
            f"- Method: {model}, {HEIGHT}x{WIDTH}, {THREADS} thread, {how}; threshold "
            f"{THRESHOLD:.0%}, ratios to the fixed work of each run",
            "- Repeat it: `python -m crossfuse_bench.compare_errors -o FILE.md`",
            "",
            f"Equal builds flagged: **{wrong} of {len(equal)}**. Slowdowns of "
            f"{SLOWDOWN - 1:.0%} missed: **{missed} of {len(slowed)}**.",
            "",
            "| repetition | same build, ratio (99 % interval) | verdict | 20 % slower, ratio "
            "(99 % interval) | verdict |",
            "| ---: | --- | --- | --- | --- |",
            *(
                f"| {number} | {_cells(one)} | {_cells(other)} |"
                for number, (one, other) in enumerate(zip(equal, slowed, strict=True), 1)
            ),
            "",
        ]
    )


def _cells(found: Comparison) -> str:
    return f"{found.ratio:.3f} ({found.low:.3f} to {found.high:.3f}) | {found.verdict}"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("--model", default="crossfuse-rt", help="default: %(default)s")
    parser.add_argument("--repetitions", type=int, default=20, help="default: %(default)s")
    parser.add_argument("--processes", type=int, default=3, help="of a run; default: %(default)s")
    parser.add_argument("--seconds", type=float, default=1.5, help="of a process")
    args = parser.parse_args(argv)
    equal: list[Comparison] = []
    slowed: list[Comparison] = []
    for number in range(args.repetitions):
        first, second = (report_of(args.model, args.seconds, args.processes) for _ in range(2))
        slower = report_of(args.model, args.seconds, args.processes, SLOWDOWN)
        equal += compare(first, second, THRESHOLD, times=False)
        slowed += compare(first, slower, THRESHOLD, times=False)
        print(f"{number + 1}: {equal[-1].ratio:.3f}, {slowed[-1].ratio:.3f}", file=sys.stderr)
    how = f"{args.processes} processes of {args.seconds:g} s a run"
    write_file(args.output, markdown(args.model, equal, slowed, how).encode())


if __name__ == "__main__":
    main()
