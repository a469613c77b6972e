"""`crossfuse bench engine`: a model in process, with its rivals, on this machine.

Every case runs in several fresh processes. Between blocks of calls a fixed piece of work is timed,
so that reports of two builds can be compared where the machine was not equally fast.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crossfuse.arrays import UInt8Array
from crossfuse.errors import ProviderUnavailable, UnknownName
from crossfuse_bench.device.calls import GRAPH, QUEUED
from crossfuse_bench.engine_case import GPU_DEVICES, EngineCase
from crossfuse_bench.engine_rows import absent_gpu_rows, conditions_of, engine_row, unmeasured_row
from crossfuse_bench.engine_runs import EngineRun, run_in_process
from crossfuse_bench.machine import measured_peak
from crossfuse_bench.quality import References
from crossfuse_bench.report.document import Document
from crossfuse_bench.rivals import RULES, TORCH_RIVALS
from crossfuse_bench.rows import Row

RIVAL_SECONDS = 2.0
RIVAL_CALLS = 6
"""Of a slow one, where there is time: a median needs as many."""
SLOW_RIVAL_SIDE = 256
TORCH_START_SECONDS = 8.0
ON_THE_GPU = (
    "by CUDA events in the engine's own stream, which include what the GPU waited; with "
    "onnxruntime in calls that copy through page-locked memory; energy of the whole board in calls "
    "one after the other"
)


@dataclass(frozen=True)
class EngineBench:
    """What `bench engine` was asked for; every combination of the lists is one case."""

    model: str
    device: str
    sizes: Sequence[tuple[int, int]]
    batches: Sequence[int]
    precisions: Sequence[str]
    threads: Sequence[int]
    rivals: Sequence[str]
    processes: int
    seconds: float
    """For the calls of all cases together, without loading, warming up and rivals."""

    @property
    def limit(self) -> float:
        """Seconds from the start that slow rivals may take up: a default run ends in a minute."""
        return 3.2 * self.seconds

    def cases(self) -> list[EngineCase]:
        """In the order of the options; the first one is the headline of the report."""
        combined = itertools.product(self.sizes, self.precisions, self.batches, self.threads)
        return [
            EngineCase(
                self.model, height, width,
                device=self.device, precision=precision, batch=batch, threads=threads,
            )
            for (height, width), precision, batch, threads in combined
        ]  # fmt: skip


Progress = Callable[[str], None]


def run_bench(asked: EngineBench, command: str, progress: Progress) -> Document:
    """Measure everything and return the report."""
    for rival in asked.rivals:
        if rival not in {*RULES, *TORCH_RIVALS} and not rival.endswith(".onnx"):
            raise UnknownName("--rivals", rival, (*RULES, *TORCH_RIVALS, "PATH.onnx"))
    started = time.monotonic()
    cases = asked.cases()
    peaks = {threads: measured_peak(threads) for threads in asked.threads}
    references = References(progress)
    rows: list[Row] = []
    first: EngineRun | None = None
    for case in cases:
        progress(f"{case.model} {case.height}x{case.width}, {case.precision}")
        # On a GPU a case is run twice: as the engine starts its work, and the other way.
        share = asked.seconds / len(cases) / asked.processes / (2 if case.on_gpu else 1)
        runs = [
            run_in_process(replace(case, count_work=number == 0 and case.device == "cpu"), share)
            for number in range(asked.processes)
        ]
        first = first or runs[0]
        found = engine_row(case, runs, peaks[case.threads], references.of(case))
        rows.append(found | {"kind": "engine"})
        if case.on_gpu:
            other = replace(case, launch=_other_launch(found))
            progress(f"{case.model}, {other.launch}")
            shares = [share] * asked.processes
            rows.append(
                _row_or_reason(other, "engine", found["name"], shares, peaks, references.of(case))
            )
    assert first is not None
    base = replace(cases[0], rival=True, batch=1)
    for rival in asked.rivals:
        progress(f"rival {rival}")
        left = asked.limit - (time.monotonic() - started)
        own = replace(base, model=rival, device=_rival_device(rival, base.device))
        rows.append(_rival_row(own, left, peaks, references.of(base)))
        if own.on_gpu and rows[-1]["measured"]:
            other, seconds = replace(own, launch=_other_launch(rows[-1])), [RIVAL_SECONDS]
            rows.append(_row_or_reason(other, "rival", rival, seconds, peaks, references.of(base)))
    rows.extend(absent_gpu_rows(first.description["name"], cases[0]))
    identity = {
        name: first.description[name] for name in ("name", "version", "precision", "sha256")
    } | {
        "provider": first.description["provider"],
        "runtime": first.description["runtime"],
        "device": first.description["device"],
        "nodes_by_provider": first.nodes,
    }
    method = {
        "scenario": "calls one after the other, each timed on its own: service time, closed loop",
        "inputs": first.source,
        "processes": asked.processes,
        "seconds": asked.seconds,
        "percentiles": "exact order statistics with 95 % intervals; too few samples give none",
    }
    if cases[0].on_gpu:
        method["phases and energy"] = ON_THE_GPU
    return Document("engine", command, identity, method, rows, {"peak": peaks[cases[0].threads]})


def _rival_device(rival: str, device: str) -> str:
    """Rules run on the CPU, networks on PyTorch where CUDA is, files where the model is."""
    if rival in RULES or device == "cpu":
        return "cpu"
    return "cuda" if rival in TORCH_RIVALS else device


def _rival_row(
    case: EngineCase,
    left: float,
    peaks: dict[int, dict[str, Any]],
    reference: list[UInt8Array] | None,
) -> Row:
    seconds = RIVAL_SECONDS
    try:
        if case.model in TORCH_RIVALS:
            seconds = left - TORCH_START_SECONDS
            # A call of the slowest one cannot be stopped: a small one tells what it will cost.
            small = replace(case, height=SLOW_RIVAL_SIDE, width=SLOW_RIVAL_SIDE)
            begun = time.monotonic()
            probe = run_in_process(small, 0.0) if seconds > 0 else None
            seconds -= time.monotonic() - begun
            pixels = case.height * case.width / SLOW_RIVAL_SIDE**2
            call = pixels * min(probe.blocks[0].milliseconds) / 1e3 if probe else 0.0
            # One call that warms up, one that counts, and those whose pictures are compared.
            if seconds < 4 * call or probe is None:
                cost = f": a call would take about {call:.0f} s" if probe else ""
                reason = f"not measured: no time left{cost}"
                return unmeasured_row(case.model, "rival", reason, conditions_of(case))
            seconds = min(max(RIVAL_SECONDS, RIVAL_CALLS * call), seconds - 3 * call)
    except Exception as error:
        return unmeasured_row(case.model, "rival", _reason(error), conditions_of(case))
    return _row_or_reason(case, "rival", case.model, [seconds], peaks, reference)


def _row_or_reason(
    case: EngineCase,
    kind: str,
    name: str,
    shares: Sequence[float],
    peaks: dict[int, dict[str, Any]],
    reference: list[UInt8Array] | None,
) -> Row:
    """A row that may fail, measured by a process for each share of the time, in seconds."""
    try:
        runs = [run_in_process(case, seconds) for seconds in shares]
    except Exception as error:
        # The code of others, at a size it may not take: no reason to lose the rows before it.
        return unmeasured_row(name, kind, _reason(error), conditions_of(case))
    return engine_row(case, runs, peaks[case.threads], reference) | {"kind": kind}


def _reason(error: Exception) -> str:
    return f"not measured: {(str(error) or type(error).__name__).splitlines()[0]}"


def _other_launch(row: Row) -> str:
    return QUEUED if row["launch"] == GRAPH else GRAPH


def available_device(device: str) -> str:
    """The device to measure, `auto` resolved; refuses CUDA that is not there before all else.

    TensorRT has several ways in, and loading a model tells which of them is open.
    """
    import onnxruntime

    available = onnxruntime.get_available_providers()
    if device == "auto":
        return "cuda" if GPU_DEVICES["cuda"] in available else "cpu"
    if device == "cuda" and GPU_DEVICES[device] not in available:
        raise ProviderUnavailable(
            f"--device: got {device!r}, but this onnxruntime has no {GPU_DEVICES[device]}; valid "
            "here: cpu"
        )
    return device
