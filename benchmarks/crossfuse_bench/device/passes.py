"""What is measured of a case on a GPU beside its synchronous calls: phases and energy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from crossfuse.arrays import UInt8Array
from crossfuse.bundles import resolve_model
from crossfuse.engines import Engine, load_engine, precision_choices
from crossfuse.engines.phase_clock import PHASES
from crossfuse.engines.tensorrt import TensorRTEngine
from crossfuse.errors import ProviderUnavailable
from crossfuse_bench.device.calls import GRAPH, QUEUED, DeviceCalls, TensorRTCalls
from crossfuse_bench.device.energy import Energy, measured_energy
from crossfuse_bench.device.torch_calls import TorchCalls
from crossfuse_bench.engine_case import EngineCase
from crossfuse_bench.percentiles import key, percentile_of
from crossfuse_bench.rivals import TORCH_RIVALS
from crossfuse_bench.scenes import Scenes

PERCENTILES = (50.0, 95.0, 99.0)
WALL = "wall"
SETTLING_CALLS = 3
SHARE = 0.25
"""Of the time of a case that each of these takes; the synchronous calls have the rest."""
LEAST_ENERGY_SECONDS = 1.0
"""The boards' counters move some ten times a second."""


@dataclass
class DeviceRun:
    """What one process measured on its GPU."""

    launch: str
    energy: Energy
    calls: list[dict[str, float]] = field(default_factory=list)
    """Milliseconds by phase, and the wall time of the same calls."""
    missing: str = ""
    """Why there is none."""


def open_calls(case: EngineCase, launch: str) -> DeviceCalls:
    """Calls of the engine of a case between events, started one way or the other."""
    shape = (case.batch, case.height, case.width)
    graphs = launch == GRAPH
    if case.model in TORCH_RIVALS and case.rival:
        half = case.precision != "fp32"
        return TorchCalls(case.model, shape, threads=case.threads, half=half, graphs=graphs)
    if case.device == "tensorrt":
        engine = loaded(case)
        if isinstance(engine, TensorRTEngine):
            return TensorRTCalls(engine, graphs=graphs)
        engine.close()
        from crossfuse.engines.onnx_tensorrt import RtxEngine

        if isinstance(engine, RtxEngine):
            raise ProviderUnavailable(
                "TensorRT-RTX as a plugin of onnxruntime works on a stream of its own, in which "
                "nobody else can put events"
            )
    from crossfuse_bench.device.onnx_calls import OnnxCalls

    model = resolve_model(case.model, precision_choices(case.precision, case.device))
    return OnnxCalls(model, case.device, shape, threads=case.threads, graphs=graphs)


def loaded(case: EngineCase) -> Engine:
    """The engine as the product opens it."""
    return load_engine(
        case.model, device=case.device, precision=case.precision, threads=case.threads
    )


def launch_of(case: EngineCase, engine: Engine | None) -> str:
    """How an engine that was called starts its work: as the case says, or as the product does."""
    if case.launch:
        return case.launch
    graphs = isinstance(engine, TensorRTEngine) and not engine.graph_refusals()
    return GRAPH if graphs else QUEUED


def energy_pass(
    fuse: Callable[[UInt8Array, UInt8Array], UInt8Array],
    scenes: Scenes,
    batch: int,
    seconds: float,
) -> Energy:
    """Of calls one after the other."""
    numbers = iter(range(10**9))

    def call() -> int:
        fuse(*scenes.batch(next(numbers), batch))
        return batch

    return measured_energy(call, max(LEAST_ENERGY_SECONDS, SHARE * seconds))


def timed_calls(
    calls: DeviceCalls, scenes: Scenes, batch: int, seconds: float
) -> list[dict[str, float]]:
    """At least one call; the first ones do not count."""
    for number in range(SETTLING_CALLS):
        calls.fuse(*scenes.batch(number, batch))
    found: list[dict[str, float]] = []
    end = time.perf_counter() + SHARE * seconds
    while not found or time.perf_counter() < end:
        pictures = scenes.batch(len(found), batch)
        begun = time.perf_counter()
        calls.fuse(*pictures)
        wall = 1e3 * (time.perf_counter() - begun)
        found.append(calls.phases() | {WALL: wall})
    return found


def device_times_field(runs: Sequence[DeviceRun]) -> dict[str, Any]:
    """The value of a row: percentiles by phase over the calls of all processes, or the reason."""
    calls = [call for run in runs for call in run.calls]
    if not calls:
        return {"n": 0, "reason": runs[0].missing}
    found: dict[str, Any] = {"n": len(calls)}
    for phase in (*PHASES, WALL):
        values = [call[phase] for call in calls]
        percentiles = {key(each): percentile_of(values, each) for each in PERCENTILES}
        found[phase] = {
            **{name: each.value for name, each in percentiles.items()},
            "reasons": {name: each.reason for name, each in percentiles.items() if each.reason},
        }
    return found
