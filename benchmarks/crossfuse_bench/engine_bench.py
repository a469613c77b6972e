"""`crossfuse bench engine`: a model in process, with its rivals, on this machine.

Every case runs in several fresh processes. Between blocks of calls a fixed piece of work is timed,
so that reports of two builds can be compared where the machine was not equally fast.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from crossfuse.engines import UInt8Array
from crossfuse.errors import ProviderUnavailable, UnknownName
from crossfuse_bench.engine_runs import EngineCase, EngineRun, run_in_process
from crossfuse_bench.machine import measured_peak
from crossfuse_bench.quality import References, distance
from crossfuse_bench.report.document import Document
from crossfuse_bench.rivals import RULES, TORCH_RIVALS
from crossfuse_bench.rows import Row, latency_fields, not_measured, stability

RIVAL_SECONDS = 2.0
RIVAL_CALLS = 6
"""Of a slow one, where there is time: a median needs as many."""
SLOW_RIVAL_SIDE = 256
TORCH_START_SECONDS = 8.0
GPU_DEVICES = {"cuda": "CUDAExecutionProvider", "tensorrt": "TensorrtExecutionProvider"}


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
        share = asked.seconds / len(cases) / asked.processes
        runs = [
            run_in_process(replace(case, count_work=number == 0 and case.device == "cpu"), share)
            for number in range(asked.processes)
        ]
        first = first or runs[0]
        row = _row(case, runs, peaks[case.threads], references.of(case))
        rows.append(row | {"kind": "engine"})
    assert first is not None
    base = replace(cases[0], rival=True, batch=1)
    for rival in asked.rivals:
        progress(f"rival {rival}")
        left = asked.limit - (time.monotonic() - started)
        rows.append(_rival_row(replace(base, model=rival), left, peaks, references.of(base)))
    rows.extend(_gpu_rows(first.description["name"], cases[0]))
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
    return Document("engine", command, identity, method, rows, {"peak": peaks[cases[0].threads]})


def _row(
    case: EngineCase,
    runs: Sequence[EngineRun],
    peak: dict[str, Any],
    reference: list[UInt8Array] | None,
) -> Row:
    processes = [[ms for block in run.blocks for ms in block.milliseconds] for run in runs]
    calls = [ms for process in processes for ms in process]
    gflop = runs[0].gflop
    rate = None if gflop is None else 1e3 * gflop / statistics.median(calls)
    return {
        "name": runs[0].description.get("name", case.model),
        "measured": True,
        **_conditions(case),
        "precision": runs[0].description.get("precision", "none"),
        "provider": runs[0].description["provider"],
        "throughput": 1e3 * case.batch * len(calls) / sum(calls),
        **latency_fields(calls),
        **stability(processes, case.batch),
        "load_s": statistics.median(run.load_s for run in runs),
        "first_ms": statistics.median(run.first_ms for run in runs),
        "warm_up_calls": runs[0].warm_up_calls,
        "memory_mb": max(run.memory_mb for run in runs),
        "gflop": gflop,
        "gflops": rate,
        "share_of_peak": None if rate is None else rate / float(peak["gflops"]),
        "quality": distance(runs[0].fused, reference),
        "blocks": [
            {
                "process": number,
                "ms": statistics.median(block.milliseconds),
                "reference_ms": block.reference_ms,
            }
            for number, run in enumerate(runs)
            for block in run.blocks
        ],
    }


def _conditions(case: EngineCase) -> Row:
    return {
        "size": f"{case.height}x{case.width}",
        "batch": case.batch,
        "threads": case.threads,
        "device": case.device,
    }


def _rival_row(
    case: EngineCase,
    left: float,
    peaks: dict[int, dict[str, Any]],
    reference: list[UInt8Array] | None,
) -> Row:
    try:
        seconds = RIVAL_SECONDS
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
                return not_measured(case.model, "rival", reason, **_conditions(case))
            seconds = min(max(RIVAL_SECONDS, RIVAL_CALLS * call), seconds - 3 * call)
        run = run_in_process(case, seconds)
    except Exception as error:
        # The code of others, at a size it may not take: no reason to lose the rows before it.
        reason = f"not measured: {(str(error) or type(error).__name__).splitlines()[0]}"
        return not_measured(case.model, "rival", reason, **_conditions(case))
    return _row(case, [run], peaks[case.threads], reference) | {"kind": "rival"}


def _gpu_rows(name: str, case: EngineCase) -> list[Row]:
    """A GPU that is not there gets a row, but no number."""
    import onnxruntime

    rows = []
    for device, provider in GPU_DEVICES.items():
        if case.device != device and provider not in onnxruntime.get_available_providers():
            conditions = _conditions(replace(case, device=device)) | {"provider": provider}
            reason = f"not measured: this onnxruntime has no {provider}"
            rows.append(not_measured(name, "engine", reason, **conditions))
    return rows


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
