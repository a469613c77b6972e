"""Where onnxruntime spends the time of a model, operator by operator, by its own profile."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crossfuse.arrays import UInt8Array

RUNS = 5


@dataclass(frozen=True)
class OperatorTime:
    """All nodes of one operator in one run of a model."""

    operator: str
    nodes: int
    milliseconds: float
    gflop: float
    """Work of convolutions and matrix products, two operations per multiply-accumulate; else 0."""


def operator_times(
    model: bytes, ir: UInt8Array, vis: UInt8Array, *, threads: int
) -> list[OperatorTime]:
    """The fastest of five runs on the CPU after a first one, slowest operator first.

    ir is uint8 [B,H,W], vis uint8 [B,H,W,3] RGB. Only a model on the CPU is profiled.
    """
    return summed(_profile(model, ir, vis, threads, 1 + RUNS))


def gflop_of(model: bytes, ir: UInt8Array, vis: UInt8Array, *, threads: int) -> float:
    """Work of one call as `OperatorTime` counts it, of the graph as it is in the file.

    What onnxruntime makes of a quantised one keeps no shapes of its weights to count with.
    """
    events = _profile(model, ir, vis, threads, 1, optimized=False)
    kernels = (event["args"] for event in events if _is_kernel(event))
    return 2 * sum(map(_multiply_accumulates, kernels)) / 1e9


def _profile(
    model: bytes,
    ir: UInt8Array,
    vis: UInt8Array,
    threads: int,
    runs: int,
    *,
    optimized: bool = True,
) -> list[dict[str, Any]]:
    import onnxruntime

    with tempfile.TemporaryDirectory() as folder:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder) / "profile")
        if not optimized:
            level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            options.graph_optimization_level = level
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        for _ in range(runs):
            session.run(["fused"], {"ir": ir, "vis": vis})
        events: list[dict[str, Any]] = json.loads(
            Path(session.end_profiling()).read_text(encoding="utf-8")
        )
    return events


def summed(events: Sequence[Mapping[str, Any]]) -> list[OperatorTime]:
    """The operators of the fastest run in a profile of one first run and five that count."""
    kernels = list(filter(_is_kernel, events))
    nodes = len(kernels) // (1 + RUNS)
    runs = [kernels[nodes * run : nodes * (run + 1)] for run in range(1, 1 + RUNS)]
    fastest = min(runs, key=lambda run: sum(event["dur"] for event in run))
    found = []
    for operator in {event["args"]["op_name"] for event in fastest}:
        own = [event for event in fastest if event["args"]["op_name"] == operator]
        found.append(
            OperatorTime(
                operator,
                nodes=len(own),
                milliseconds=sum(event["dur"] for event in own) / 1e3,
                gflop=2 * sum(_multiply_accumulates(event["args"]) for event in own) / 1e9,
            )
        )
    return sorted(found, key=lambda time: -time.milliseconds)


def _is_kernel(event: Mapping[str, Any]) -> bool:
    return str(event.get("name", "")).endswith("_kernel_time")


def _multiply_accumulates(node: Mapping[str, Any]) -> float:
    """From the shapes that the profile notes for a node."""
    inputs: list[list[int]] = [next(iter(shape.values())) for shape in node["input_type_shape"]]
    result: list[int] = next(iter(node["output_type_shape"][0].values()))
    if "Conv" in node["op_name"]:
        return math.prod(result) * math.prod(inputs[1][1:])
    if "MatMul" in node["op_name"] or "Gemm" in node["op_name"]:
        # Rows times the shared side, times columns.
        return math.prod(inputs[0]) * result[-1]
    return 0.0
