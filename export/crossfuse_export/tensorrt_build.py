"""One ONNX file to one TensorRT engine, through what TensorRT 10.16 and 11.4 have in common.

The network is strongly typed: the file says what is fp32, fp16 or quantised, and TensorRT does
exactly that. There are no precision flags and no calibration here; 11 has none any more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from crossfuse.bundles import GRAPH_INPUTS
from crossfuse.engines.tensorrt_api import Builder, Complaints, IBuilderConfig, TensorRT, made
from crossfuse.engines.tensorrt_profiles import Profile
from crossfuse.engines.tensorrt_store import check_trusted, write_privately
from crossfuse.errors import EngineError
from crossfuse_export.onnx_files import parse_onnx


class BuildFailed(EngineError):
    """TensorRT refused a file or could not build it; says why in its own words."""


@dataclass(frozen=True)
class BuildOptions:
    """How engines are built."""

    profiles: tuple[Profile, ...]
    workspace: int
    """Bytes of scratch memory that TensorRT may plan with."""
    hardware: str = "none"
    """One of `tensorrt_key.HARDWARE`."""
    timing_cache: Path | None = None
    """File of measured kernel times; None on a machine without a GPU, where nothing is measured
    and asking for one fails."""


@dataclass(frozen=True)
class Built:
    """An engine, and what its making took."""

    plan: bytes
    layers: int
    """Of the network as it was parsed; fusing makes fewer."""
    seconds: float


def build_engine(
    trt: TensorRT, content: bytes, source: str, options: BuildOptions, *, fp32: bool
) -> Built:
    """Build the engine of an ONNX file; `source` names it in errors and in the progress.

    What the graph contract forbids, such as bytes into a Transpose, is refused in our own words
    before TensorRT sees it. `fp32` keeps TensorRT from rounding products to TF32.
    """
    parse_onnx(content, source)
    started = time.perf_counter()
    complaints = Complaints(trt)
    builder = made(trt.Builder, complaints, "builder")
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, complaints.logger)
    if not parser.parse(content):
        errors = [parser.get_error(index) for index in range(parser.num_errors)]
        said = "; ".join(
            " ".join(f"{error.node_name()}: {error.desc()}".split()) for error in errors
        )
        raise BuildFailed(f"{source}: TensorRT cannot read it: {said or complaints.taken()}")
    config = _config(trt, builder, options, fp32=fp32)
    # Held here: TensorRT keeps only a bare pointer to it.
    monitor = _progress(trt, source)
    config.progress_monitor = monitor
    cache = _attach_timing_cache(config, options.timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BuildFailed(
            f"{source}: TensorRT cannot build it with a workspace of {options.workspace >> 20} MiB "
            f"for {' '.join(map(str, options.profiles))}: {complaints.taken()}"
        )
    if cache is not None:
        write_privately(cache, bytes(config.get_timing_cache().serialize()))
    return Built(bytes(plan), network.num_layers, time.perf_counter() - started)


def _config(
    trt: TensorRT, builder: Builder, options: BuildOptions, *, fp32: bool
) -> IBuilderConfig:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace)
    config.profiling_verbosity = trt.ProfilingVerbosity.LAYER_NAMES_ONLY
    levels = trt.HardwareCompatibilityLevel
    if options.hardware != "none":
        config.hardware_compatibility_level = {
            "ampere+": levels.AMPERE_PLUS,
            "same-capability": levels.SAME_COMPUTE_CAPABILITY,
        }[options.hardware]
    if fp32:
        config.clear_flag(trt.BuilderFlag.TF32)
    if options.timing_cache is None:
        config.set_flag(trt.BuilderFlag.DISABLE_TIMING_CACHE)
    for profile in options.profiles:
        shapes = builder.create_optimization_profile()
        for tensor in GRAPH_INPUTS:
            shapes.set_shape(tensor.name, *profile.shapes(tensor.name))
        if config.add_optimization_profile(shapes) < 0:
            raise BuildFailed(f"profile {profile}: TensorRT does not take it")
    return config


def _attach_timing_cache(config: IBuilderConfig, path: Path | None) -> Path | None:
    """Begin with what earlier builds measured on this GPU."""
    if path is None:
        return None
    content = b""
    if path.exists():
        check_trusted(path)
        content = path.read_bytes()
    if not config.set_timing_cache(config.create_timing_cache(content), False) and content:
        # Of another GPU or TensorRT: begin anew.
        config.set_timing_cache(config.create_timing_cache(b""), False)
    return path


def _progress(trt: TensorRT, source: str) -> Any:
    """TensorRT's progress as one bar for the phase that nothing contains."""
    bars: dict[str, Any] = {}

    def phase_start(_: Any, name: str, parent: str | None, steps: int) -> None:
        if parent is None:
            bars[name] = tqdm(total=steps, desc=f"{source}: {name}", unit="step", disable=None)

    def step_complete(_: Any, name: str, step: int) -> bool:
        if name in bars:
            bars[name].update(step + 1 - bars[name].n)
        return True

    def phase_finish(_: Any, name: str) -> None:
        if name in bars:
            bars.pop(name).close()

    # Made by hand: the base class is only there once the module is.
    members = {
        "phase_start": phase_start,
        "step_complete": step_complete,
        "phase_finish": phase_finish,
    }
    return type("Progress", (trt.IProgressMonitor,), members)()
