"""How many times faster a model fuses than the published network, run as its authors run it.

    python -m crossfuse_bench.speedup --model crossfuse-rt -o FILE.md

Whole `fuse` calls, uint8 to uint8, on one machine, in turns: the model on onnxruntime's CPU
provider, and eager PyTorch with the attention called tile by tile (`tile_loop`, fresh weights,
which cost the same as trained ones).
"""

from __future__ import annotations

import argparse
import importlib
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import crossfuse
from crossfuse import synthetic
from crossfuse.arrays import UInt8Array
from crossfuse.bundles import resolve_model
from crossfuse.engines import EngineDescription
from crossfuse.images import write_file
from crossfuse_bench.conditions import conditions
from crossfuse_bench.operator_times import OperatorTime, operator_times

BASELINE = "crossfuse"
LEAST_CALLS, LEAST_SECONDS = 3, 1.0
"""What one round measures of the model: it is much faster than the baseline."""
MATRIX_SIDE, MATRIX_PRODUCTS = 2048, 3
OPERATORS = 12
BARS = {"crossfuse-rt": 120.0, "crossfuse-base": 5.0, "crossfuse-official": 2.5}
"""What each must reach at 480x640; the last one is the published network, imported."""
GOALS = {"crossfuse-rt": 200.0}
STABLE = 1.25
"""How far apart the ratios of the rounds may be, largest over smallest."""

Fuse = Callable[[UInt8Array, UInt8Array], UInt8Array]


@dataclass(frozen=True)
class Round:
    """Seconds of a `fuse` call, median of the round, and what the machine gave beside it."""

    model: float
    calls: int
    baseline: float
    gflops: float
    """Of single-precision matrix products, which nothing here can beat."""

    @property
    def ratio(self) -> float:
        """How many times faster the model was."""
        return self.baseline / self.model


def measure(
    model: Fuse,
    baseline: Fuse,
    limit: Callable[[], float],
    pair: tuple[UInt8Array, UInt8Array],
    rounds: int,
) -> list[Round]:
    """Call both in turns, after one call each that is not counted; who begins changes."""
    model(*pair)
    baseline(*pair)
    found = []
    for index in range(rounds):
        before = [_seconds(baseline, pair)] if index % 2 else []
        calls: list[float] = []
        while len(calls) < LEAST_CALLS or sum(calls) < LEAST_SECONDS:
            calls.append(_seconds(model, pair))
        (slow,) = before or [_seconds(baseline, pair)]
        found.append(Round(statistics.median(calls), len(calls), slow, limit()))
    return found


def report(
    described: EngineDescription,
    size: tuple[int, int],
    rounds: Sequence[Round],
    operators: Sequence[OperatorTime],
) -> str:
    """The measurement as Markdown."""
    ratios = [entry.ratio for entry in rounds]
    ratio = statistics.median(ratios)
    name = f"{described.name}:{described.version}"
    height, width = size
    lines = [
        f"# {name} is {ratio:.1f} times faster than the published network as its authors run it",
        "",
        f"Whole `fuse` calls of one colour pair, {height}x{width}, uint8 to uint8, in turns in one "
        f"process: {name} on {described.runtime} ({described.provider}), and CrossFuse in eager "
        "PyTorch, its attention called tile by tile, its box filters dense convolutions.",
        "",
        *_bar(described.name, ratio),
        _stability(ratios),
        *conditions("torch", "onnxruntime", "numpy"),
        f"- Threads of each: {described.threads}. Other work ran on the machine meanwhile: "
        "milliseconds are no promise, the ratio is of calls made seconds apart.",
        f"- Model: sha256 `{described.sha256}`, {described.precision}",
        f"- Command: `python -m crossfuse_bench.speedup --model {described.name} "
        f"--size {height}x{width} --rounds {len(rounds)} -o FILE.md`",
        "",
        "| | median | lowest | highest |",
        "| --- | --: | --: | --: |",
        _row("model, ms", [entry.model * 1e3 for entry in rounds], 1),
        _row("baseline, ms", [entry.baseline * 1e3 for entry in rounds], 0),
        _row("ratio", ratios, 1),
        _row("matrix product, GFLOP/s", [entry.gflops for entry in rounds], 1),
        "",
        "| round | model, ms | calls | baseline, ms | ratio | GFLOP/s |",
        "| --: | --: | --: | --: | --: | --: |",
        *(
            f"| {number} | {entry.model * 1e3:.1f} | {entry.calls} | {entry.baseline * 1e3:.0f} "
            f"| {entry.ratio:.1f} | {entry.gflops:.1f} |"
            for number, entry in enumerate(rounds, 1)
        ),
        "",
        *_where_time_goes(operators, rounds),
    ]
    return "\n".join(lines)


def _bar(name: str, ratio: float) -> list[str]:
    bar = BARS.get(name)
    if bar is None:
        return []
    line = f"- Bar: at least {bar:g} times, **{'reached' if ratio >= bar else 'MISSED'}**"
    goal = GOALS.get(name)
    if goal is not None:
        line += f"; goal: {goal:g} times, {'reached' if ratio >= goal else 'not reached'}"
    return [line]


def _stability(ratios: Sequence[float]) -> str:
    low, high = min(ratios), max(ratios)
    found = f"- Rounds: ratios from {low:.1f} to {high:.1f}, "
    if high <= STABLE * low:
        return f"{found}stable"
    return f"{found}**UNSTABLE**: other work disturbed some rounds; measure again when it is quiet"


def _where_time_goes(operators: Sequence[OperatorTime], rounds: Sequence[Round]) -> list[str]:
    total = sum(entry.milliseconds for entry in operators)
    return [
        "## Where the time goes",
        "",
        f"onnxruntime's own profile of the model, {total:.1f} ms in the fastest run. The limit is "
        f"that of a {MATRIX_SIDE}x{MATRIX_SIDE} matrix product of PyTorch with as many threads, "
        f"measured in every round. {_work_sentence(operators, rounds)}",
        "",
        "| operator | nodes | ms | share | GFLOP | GFLOP/s |",
        "| --- | --: | --: | --: | --: | --: |",
        *(
            f"| {entry.operator} | {entry.nodes} | {entry.milliseconds:.2f} "
            f"| {entry.milliseconds / total:.1%} | {_work(entry)} |"
            for entry in operators[:OPERATORS]
        ),
        "",
    ]


def _work_sentence(operators: Sequence[OperatorTime], rounds: Sequence[Round]) -> str:
    heavy = [entry for entry in operators if entry.gflop]
    if not heavy:
        return "The model has no convolutions and no matrix products."
    work = sum(entry.gflop for entry in heavy)
    spent = sum(entry.milliseconds for entry in heavy)
    least = statistics.median(work / entry.gflops for entry in rounds)
    ceiling = statistics.median(entry.baseline * entry.gflops / work for entry in rounds)
    return (
        f"Convolutions and matrix products are {work:.2f} GFLOP in {spent:.1f} ms, "
        f"{work / spent * 1e3:.1f} GFLOP/s. At the limit they take {least * 1e3:.1f} ms: a model "
        f"that did this work at that rate and nothing else would be {ceiling:.1f} times faster "
        "than the baseline (medians of the rounds)."
    )


def _work(entry: OperatorTime) -> str:
    if not entry.gflop:
        return "- | -"
    return f"{entry.gflop:.2f} | {entry.gflop / entry.milliseconds * 1e3:.1f}"


def _row(name: str, values: Sequence[float], digits: int) -> str:
    cells = (statistics.median(values), min(values), max(values))
    return f"| {name} | {' | '.join(f'{cell:.{digits}f}' for cell in cells)} |"


def _seconds(fuse: Fuse, pair: tuple[UInt8Array, UInt8Array]) -> float:
    started = time.perf_counter()
    fuse(*pair)
    return time.perf_counter() - started


def matrix_gflops() -> float:
    """What PyTorch reaches in single-precision matrix products with its present threads."""
    import torch

    factors = torch.rand(2, MATRIX_SIDE, MATRIX_SIDE)
    started = time.perf_counter()
    for _ in range(MATRIX_PRODUCTS):
        torch.mm(*factors)
    seconds = (time.perf_counter() - started) / MATRIX_PRODUCTS
    return float(2 * MATRIX_SIDE**3 / seconds / 1e9)


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"got {text!r}; valid: HEIGHTxWIDTH, such as 480x640")
    return int(match[1]), int(match[2])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", required=True, help="a bundle or an .onnx file")
    parser.add_argument("--size", type=_size, default=(480, 640), metavar="HxW")
    parser.add_argument("--rounds", type=int, default=5, metavar="N")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    given = parser.parse_args(arguments)
    if given.rounds < 1:
        parser.error(f"--rounds: got {given.rounds}; valid: 1 or more")
    height, width = given.size
    pair = synthetic.pair(1, height, width)
    model = crossfuse.load(given.model, device="cpu")
    described = model.engine.describe()
    # By name: this package needs no torch but for this comparison.
    engines: Any = importlib.import_module("crossfuse_training.engines")
    baseline = crossfuse.Fuser(
        engines.load_torch_engine("tile_loop", BASELINE, threads=described.threads)
    )
    rounds = measure(model.fuse, baseline.fuse, matrix_gflops, pair, given.rounds)
    content = resolve_model(given.model, ("fp32",)).read()
    ir, vis = pair
    operators = operator_times(content, ir[None], vis[None], threads=described.threads)
    write_file(given.output, report(described, given.size, rounds, operators).encode())
    print(f"{statistics.median(entry.ratio for entry in rounds):.1f} times faster: {given.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
