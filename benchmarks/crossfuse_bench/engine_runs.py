"""One process that loads one engine and calls it: everything that is measured of it."""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.bundles import resolve_model
from crossfuse.engines import Engine
from crossfuse_bench.device.calls import DeviceCalls
from crossfuse_bench.device.passes import (
    SHARE,
    DeviceRun,
    energy_pass,
    launch_of,
    loaded,
    open_calls,
    timed_calls,
)
from crossfuse_bench.engine_case import EngineCase
from crossfuse_bench.machine import THREAD_VARIABLES
from crossfuse_bench.operator_times import gflop_of
from crossfuse_bench.process import FreshProcess
from crossfuse_bench.rivals import RULES, TORCH_RIVALS, load_rival
from crossfuse_bench.scenes import Scenes, load_scenes

WARM_UP_CALLS, WARM_UP_SECONDS = 3, 0.3
BLOCK_SECONDS = 0.25

# OpenBLAS's threads spin for some 30 ms after a product before they sleep; the first calls behind
# the fixed work would share the processors with them. The value is the exponent of those ticks.
SLEEP_AT_ONCE = {"OPENBLAS_THREAD_TIMEOUT": "4"}

KEPT = 2
"""Pictures that are given back to be compared with those of fp32."""
REFERENCE_SIDE, REFERENCE_PRODUCTS, REFERENCE_COPY = 384, 40, 2**20

Fuse = Callable[[UInt8Array, UInt8Array], UInt8Array]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Block:
    """About a quarter of a second of calls, between two runs of a fixed piece of work."""

    milliseconds: list[float]
    reference_ms: float
    """The fixed work, mean of before and after: how fast the machine was meanwhile."""


@dataclass
class EngineRun:
    """What one process measured."""

    description: dict[str, Any]
    source: str
    load_s: float
    first_ms: float
    warm_up_calls: int
    blocks: list[Block]
    memory_mb: float
    fused: list[UInt8Array]
    nodes: dict[str, int] = field(default_factory=dict)
    """How many nodes of the graph each execution provider got."""
    gflop: float | None = None
    on_device: DeviceRun | None = None
    """Of a GPU only."""


def run_in_process(case: EngineCase, seconds: float) -> EngineRun:
    """`measure` in a fresh process, so that nothing of another engine is loaded or warm."""
    return in_process(case.threads, measure, case, seconds)


def in_process(threads: int, work: Callable[..., Result], *arguments: object) -> Result:
    """A function in a fresh process, whose fixed work has as many threads as its engine."""
    chosen = {**dict.fromkeys(THREAD_VARIABLES, str(threads)), **SLEEP_AT_ONCE}
    before = {name: os.environ.get(name) for name in chosen}
    os.environ.update(chosen)
    try:
        with FreshProcess(work, *arguments) as process:
            return process.result()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def measure(case: EngineCase, seconds: float) -> EngineRun:
    """Load, warm up and call for so many seconds; at least one block."""
    scenes = load_scenes(case.height, case.width)
    started = time.perf_counter()
    subject = _load(case)
    ready = time.perf_counter()
    fuse = subject.fuse
    first = _timed(fuse, scenes.batch(0, case.batch))
    warm = _warm_up(fuse, scenes, case.batch, first)
    on_gpu = case.on_gpu and seconds > 0
    blocks = timed_blocks(
        fuse, scenes, case.batch, seconds * (1 - 2 * SHARE) if on_gpu else seconds
    )
    # Before the pictures are compared and work is counted, which need memory of their own.
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    run = EngineRun(
        subject.description,
        scenes.source,
        load_s=ready - started,
        first_ms=first,
        warm_up_calls=warm,
        blocks=blocks,
        memory_mb=memory,
        fused=_kept(fuse, scenes, case.batch),
        nodes=_assigned_nodes(subject.engine),
        gflop=_work(case, scenes) if case.count_work else None,
    )
    if on_gpu:
        run.on_device = _on_device(case, subject, scenes, seconds)
    return run


@dataclass(frozen=True)
class _Subject:
    """What was loaded: an engine of the product, calls between events, or a function."""

    fuse: Fuse
    description: dict[str, Any]
    engine: Engine | None = None
    calls: DeviceCalls | None = None


def _load(case: EngineCase) -> _Subject:
    if case.on_gpu and (case.launch or (case.rival and case.model in TORCH_RIVALS)):
        calls = open_calls(case, case.launch)
        return _Subject(calls.fuse, calls.describe(), calls=calls)
    if case.rival and not case.model.endswith(".onnx"):
        described = {"provider": "PyTorch on the CPU", "precision": "fp32"}
        if case.model in RULES:
            described = {"provider": "OpenCV"}
        return _Subject(load_rival(case.model, case.threads), described)
    engine = loaded(case)
    return _Subject(engine.fuse, dict(vars(engine.describe())), engine=engine)


def _on_device(case: EngineCase, subject: _Subject, scenes: Scenes, seconds: float) -> DeviceRun:
    """Energy of the calls that were timed, then their phases; where need be by an engine anew."""
    launch = launch_of(case, subject.engine)
    energy = energy_pass(subject.fuse, scenes, case.batch, seconds)
    run = DeviceRun(launch, energy)
    try:
        if subject.engine is not None:
            subject.engine.close()
        calls = subject.calls or open_calls(case, launch)
        try:
            run.calls = timed_calls(calls, scenes, case.batch, seconds)
        finally:
            calls.close()
    except Exception as error:
        # What was timed is measured, whether or not its phases can be told apart.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        run.missing = f"not measured: {reason}"
    return run


def _kept(fuse: Fuse, scenes: Scenes, batch: int) -> list[UInt8Array]:
    """The first pictures, fused in batches as those that are timed."""
    kept: list[UInt8Array] = []
    while len(kept) < KEPT:
        kept.extend(fuse(*scenes.batch(len(kept) // batch, batch)))
    return kept[:KEPT]


def _timed(fuse: Fuse, batch: tuple[UInt8Array, UInt8Array]) -> float:
    started = time.perf_counter()
    fuse(*batch)
    return 1e3 * (time.perf_counter() - started)


def _warm_up(fuse: Fuse, scenes: Scenes, batch: int, first_ms: float) -> int:
    """Three calls and 0.3 s; a call that takes seconds needs no more than the first one."""
    calls, started = 0, time.perf_counter()
    while first_ms < 1e3 * WARM_UP_SECONDS and (
        calls < WARM_UP_CALLS or time.perf_counter() - started < WARM_UP_SECONDS
    ):
        fuse(*scenes.batch(calls, batch))
        calls += 1
    return 1 + calls


def timed_blocks(fuse: Fuse, scenes: Scenes, batch: int, seconds: float) -> list[Block]:
    """Calls for so many seconds, at least one block; pictures change from call to call."""
    reference = _reference_work()
    blocks: list[Block] = []
    calls, end = 0, time.perf_counter() + seconds
    before = reference()
    while not blocks or time.perf_counter() < end:
        times: list[float] = []
        while not times or sum(times) < 1e3 * BLOCK_SECONDS:
            times.append(_timed(fuse, scenes.batch(calls, batch)))
            calls += 1
        after = reference()
        blocks.append(Block(times, (before + after) / 2))
        before = after
    return blocks


def _reference_work() -> Callable[[], float]:
    """A fixed piece of work, some ten milliseconds of products and copies; gives its time in ms."""
    factors = np.random.default_rng(0).random((2, REFERENCE_SIDE, REFERENCE_SIDE), np.float32)
    source = np.ones(REFERENCE_COPY)

    def work() -> float:
        started = time.perf_counter()
        for _ in range(REFERENCE_PRODUCTS):
            np.matmul(*factors)
            source.copy()
        return 1e3 * (time.perf_counter() - started)

    work()
    return work


def _assigned_nodes(engine: Engine | None) -> dict[str, int]:
    """From the session that was measured: onnxruntime noted where it put each node."""
    session: Any = getattr(engine, "session", None)
    if session is None:
        return {}
    counts: Counter[str] = Counter()
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] += len(part.get_nodes())
    return dict(counts)


def _work(case: EngineCase, scenes: Scenes) -> float:
    content = resolve_model(case.model, _precisions(case.precision)).read()
    return gflop_of(content, *scenes.batch(0, case.batch), threads=case.threads)


def _precisions(precision: str) -> tuple[str, ...]:
    return ("fp32",) if precision == "auto" else (precision,)
