"""The rows of `bench engine`: one case, measured by several processes, or not measured."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from crossfuse.arrays import UInt8Array
from crossfuse_bench.device.calls import GRAPH
from crossfuse_bench.device.energy import energy_field
from crossfuse_bench.device.passes import DeviceRun, device_times_field
from crossfuse_bench.engine_case import GPU_DEVICES, EngineCase
from crossfuse_bench.engine_runs import EngineRun
from crossfuse_bench.quality import distance
from crossfuse_bench.rows import Row, latency_fields, not_measured, stability


def engine_row(
    case: EngineCase,
    runs: Sequence[EngineRun],
    peak: dict[str, Any],
    reference: list[UInt8Array] | None,
) -> Row:
    """What the processes of one case measured."""
    processes = [[ms for block in run.blocks for ms in block.milliseconds] for run in runs]
    calls = [ms for process in processes for ms in process]
    gflop = runs[0].gflop
    rate = None if gflop is None else 1e3 * gflop / statistics.median(calls)
    return {
        "name": runs[0].description.get("name", case.model),
        "measured": True,
        **conditions_of(case),
        "precision": runs[0].description.get("precision", "none"),
        "provider": runs[0].description["provider"],
        "sha256": runs[0].description.get("sha256", ""),
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
        **_on_device([run.on_device for run in runs if run.on_device is not None]),
    }


def conditions_of(case: EngineCase) -> Row:
    """What tells a row from others, as it was asked for."""
    return {
        "size": f"{case.height}x{case.width}",
        "batch": case.batch,
        "threads": case.threads,
        "device": case.device,
        **({"launch": case.launch} if case.launch else {}),
    }


def absent_gpu_rows(name: str, case: EngineCase) -> list[Row]:
    """A GPU that is not there gets its rows, but no number."""
    import onnxruntime

    rows = []
    for device, provider in GPU_DEVICES.items():
        if case.device == device or provider in onnxruntime.get_available_providers():
            continue
        reason = f"not measured: this onnxruntime has no {provider}"
        for launch in ("", GRAPH):
            conditions = conditions_of(replace(case, device=device, launch=launch))
            rows.append(unmeasured_row(name, "engine", reason, conditions | {"provider": provider}))
    return rows


def unmeasured_row(name: str, kind: str, reason: str, conditions: Row) -> Row:
    """A row without a number; on a GPU it lacks phases and energy for the same reason."""
    device = {}
    if conditions["device"] in GPU_DEVICES:
        device = {
            "device_times": {"n": 0, "reason": reason},
            "energy": {"joules_per_pair": None, "reason": reason},
        }
    return not_measured(name, kind, reason, **conditions, **device)


def _on_device(runs: Sequence[DeviceRun]) -> Row:
    if not runs:
        return {}
    return {
        "launch": runs[0].launch,
        "device_times": device_times_field(runs),
        "energy": energy_field([run.energy for run in runs]),
    }
