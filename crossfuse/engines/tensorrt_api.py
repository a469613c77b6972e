"""TensorRT's Python API as far as this project uses it: what 10.16 and 11.4 have in common.

TensorRT's packages carry no types. These say which names we use, so that mypy refuses any other,
and a test compares them with the lists of both versions. Each class is called as TensorRT calls it;
images are `ir` uint8 [B,H,W] and `vis`, `fused` uint8 [B,H,W,3] RGB throughout.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, cast

from crossfuse.errors import ProviderUnavailable

log = logging.getLogger(__name__)

Shape = tuple[int, ...]
Made = TypeVar("Made")


class ParserError(Protocol):
    def desc(self) -> str: ...
    def node_name(self) -> str: ...


class OnnxParser(Protocol):
    num_errors: int

    def parse(self, model: bytes) -> bool: ...
    def get_error(self, index: int) -> ParserError: ...


class IHostMemory(Protocol):
    def __buffer__(self, flags: int, /) -> memoryview: ...


class ITimingCache(Protocol):
    def serialize(self) -> IHostMemory: ...


class IOptimizationProfile(Protocol):
    def set_shape(self, input: str, min: Shape, opt: Shape, max: Shape) -> None: ...


class INetworkDefinition(Protocol):
    num_layers: int


class IBuilderConfig(Protocol):
    hardware_compatibility_level: Any
    profiling_verbosity: Any
    progress_monitor: Any

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int: ...
    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None: ...
    def set_flag(self, flag: Any) -> None: ...
    def clear_flag(self, flag: Any) -> None: ...
    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache: ...
    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool: ...
    def get_timing_cache(self) -> ITimingCache: ...


class Builder(Protocol):
    def create_network(self, flags: int) -> INetworkDefinition: ...
    def create_builder_config(self) -> IBuilderConfig: ...
    def create_optimization_profile(self) -> IOptimizationProfile: ...
    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> IHostMemory | None: ...


class IExecutionContext(Protocol):
    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool: ...
    def set_device_memory(self, memory: int, size: int) -> None: ...
    def set_input_shape(self, name: str, shape: Shape) -> bool: ...
    def set_tensor_address(self, name: str, memory: int) -> bool: ...
    def infer_shapes(self) -> list[str]: ...
    def execute_async_v3(self, stream_handle: int) -> bool: ...


class ICudaEngine(Protocol):
    num_io_tensors: int
    num_optimization_profiles: int
    device_memory_size_v2: int

    def get_tensor_name(self, index: int) -> str: ...
    def get_tensor_mode(self, name: str) -> Any: ...
    def get_tensor_dtype(self, name: str) -> Any: ...
    def get_tensor_shape(self, name: str) -> Sequence[int]: ...
    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[Sequence[int]]: ...
    def create_execution_context(self, strategy: Any) -> IExecutionContext | None: ...


class Runtime(Protocol):
    def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None: ...


class MemoryPoolType(Protocol):
    WORKSPACE: Any


class BuilderFlag(Protocol):
    TF32: Any
    DISABLE_TIMING_CACHE: Any


class NetworkDefinitionCreationFlag(Protocol):
    STRONGLY_TYPED: Any


class HardwareCompatibilityLevel(Protocol):
    AMPERE_PLUS: Any
    SAME_COMPUTE_CAPABILITY: Any


class ProfilingVerbosity(Protocol):
    LAYER_NAMES_ONLY: Any


class TensorIOMode(Protocol):
    INPUT: Any
    OUTPUT: Any


class DataType(Protocol):
    UINT8: Any


class ExecutionContextAllocationStrategy(Protocol):
    USER_MANAGED: Any


class ILogger(Protocol):
    ERROR: Any
    INTERNAL_ERROR: Any
    WARNING: Any

    def log(self, severity: Any, msg: str) -> None: ...


class IProgressMonitor(Protocol):
    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None: ...
    def step_complete(self, phase_name: str, step: int) -> bool: ...
    def phase_finish(self, phase_name: str) -> None: ...


class TensorRT(Protocol):
    """The module itself, `tensorrt`."""

    __version__: str
    MemoryPoolType: MemoryPoolType
    BuilderFlag: BuilderFlag
    NetworkDefinitionCreationFlag: NetworkDefinitionCreationFlag
    HardwareCompatibilityLevel: HardwareCompatibilityLevel
    ProfilingVerbosity: ProfilingVerbosity
    TensorIOMode: TensorIOMode
    DataType: DataType
    ExecutionContextAllocationStrategy: ExecutionContextAllocationStrategy
    ILogger: Any
    IProgressMonitor: Any

    def Builder(self, logger: Any) -> Builder: ...  # noqa: N802 - TensorRT's name
    def Runtime(self, logger: Any) -> Runtime: ...  # noqa: N802 - TensorRT's name
    def OnnxParser(self, network: Any, logger: Any) -> OnnxParser: ...  # noqa: N802


def installed_tensorrt() -> TensorRT | None:
    """The `tensorrt` module, or None where it is not installed or its libraries do not load."""
    if importlib.util.find_spec("tensorrt") is None:
        return None
    try:
        return cast(TensorRT, importlib.import_module("tensorrt"))
    except (ImportError, OSError) as error:
        log.warning("tensorrt is installed, but cannot be loaded: %s", error)
        return None


def made(make: Callable[[Any], Made], complaints: Complaints, what: str) -> Made:
    """What a class of TensorRT makes with a logger; without a usable GPU it makes nothing."""
    try:
        return make(complaints.logger)
    except TypeError as error:
        raise ProviderUnavailable(f"TensorRT makes no {what} here: {complaints.taken()}") from error


class Complaints:
    """What TensorRT said while it worked: its calls answer None or False and log the reason."""

    def __init__(self, trt: TensorRT) -> None:
        self._errors: deque[str] = deque(maxlen=8)
        errors, levels = (trt.ILogger.INTERNAL_ERROR, trt.ILogger.ERROR), trt.ILogger.WARNING

        def forward(_: Any, severity: Any, message: str) -> None:
            if severity in errors:
                self._errors.append(" ".join(message.split()))
            log.log(logging.INFO if severity == levels else logging.DEBUG, "%s", message)

        # Made by hand: the base class is only there once the module is.
        self.logger = type("ForwardingLogger", (trt.ILogger,), {"log": forward})()

    def taken(self) -> str:
        """The errors since the last time, in one line."""
        said = "; ".join(self._errors)
        self._errors.clear()
        return said or "TensorRT gave no reason"
