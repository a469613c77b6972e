"""A TensorRT that is none: its builder writes down what it was told, its engines average.

It has the names of TensorRT's API that this project uses and no others, and refuses calls that come
too early or with memory that is not there.
"""

from __future__ import annotations

import hashlib
import json
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from crossfuse.bundles import ModelFile
from crossfuse.bundles.store import open_bundle
from crossfuse.engines.tensorrt_key import EngineKey, Platform
from crossfuse.engines.tensorrt_profiles import Profile
from crossfuse.engines.tensorrt_store import write_engine

KERNEL_MS = 7.0
PROFILES = (Profile.fixed(32, 40, (1, 1, 3)), Profile.fixed(48, 64, (1, 2, 2)))


class FakeContext:
    """An execution context: half of ir and half of vis, once everything is set in order."""

    def __init__(self, driver: Any, plan: dict[str, Any]) -> None:
        self._driver, self._plan = driver, plan
        self._profile: list[list[int]] = []
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._scratch = (0, 0)

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self._profile = self._plan["profiles"][profile_index]
        return stream_handle in self._driver.streams

    def set_device_memory(self, memory: int, size: int) -> None:
        assert size >= self._plan["scratch"]
        self._driver.at(memory, size)
        self._scratch = (memory, size)
        # Contexts go first: whoever frees the memory under one is found out here.
        weakref.finalize(self, self._driver.at, memory, size)

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shapes[name] = shape
        least, _, largest = self._profile
        return all(a <= b <= c for a, b, c in zip(least, shape, largest, strict=False))

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def infer_shapes(self) -> list[str]:
        return sorted({"ir", "vis"} - self._shapes.keys())

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self._plan.get("refuses"):
            return False
        assert self._scratch[0]
        shape = self._shapes["ir"]
        assert self._shapes["vis"] == (*shape, 3)
        pixels = int(np.prod(shape))
        sizes = {"ir": pixels, "vis": 3 * pixels, "fused": 3 * pixels}
        view = {name: self._driver.at(self._addresses[name], size) for name, size in sizes.items()}

        # A graph that could not be freed keeps its kernels, which must not keep the context.
        pass_time = self._driver.pass_time

        def kernel() -> None:
            ir = view["ir"].reshape(*shape, 1).astype(np.uint16)
            view["fused"][:] = ((ir + view["vis"].reshape(*shape, 3)) // 2).astype(np.uint8).ravel()
            pass_time(KERNEL_MS)

        self._driver.queue(stream_handle, kernel)
        return True


class FakeEngine:
    """What a plan of the fake builder becomes."""

    def __init__(self, driver: Any, plan: dict[str, Any]) -> None:
        self._driver, self._plan = driver, plan
        self.num_io_tensors = 3
        self.num_optimization_profiles = len(plan["profiles"])
        self.device_memory_size_v2 = plan["scratch"]

    def get_tensor_name(self, index: int) -> str:
        names: list[str] = self._plan.get("names", ["fused", "ir", "vis"])
        return names[index]

    def get_tensor_mode(self, name: str) -> str:
        return "OUTPUT" if name == "fused" else "INPUT"

    def get_tensor_dtype(self, name: str) -> str:
        return "UINT8"

    def get_tensor_shape(self, name: str) -> list[int]:
        return [-1, -1, -1] if name == "ir" else [-1, -1, -1, 3]

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[list[int]]:
        assert name == "ir"
        shapes: list[list[int]] = self._plan["profiles"][profile_index]
        return shapes

    def create_execution_context(self, strategy: Any) -> FakeContext | None:
        assert strategy == "USER_MANAGED"
        return None if self._plan.get("no_context") else FakeContext(self._driver, self._plan)


class FakeTensorRT:
    """The module `tensorrt`."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.__version__ = "10.16.1.11"
        self.ILogger = type("ILogger", (), {"ERROR": 1, "INTERNAL_ERROR": 0, "WARNING": 2})
        self.IProgressMonitor = type("IProgressMonitor", (), {})
        for name, members in {
            "MemoryPoolType": ("WORKSPACE",),
            "BuilderFlag": ("TF32", "DISABLE_TIMING_CACHE"),
            "HardwareCompatibilityLevel": ("AMPERE_PLUS", "SAME_COMPUTE_CAPABILITY"),
            "ProfilingVerbosity": ("LAYER_NAMES_ONLY",),
            "TensorIOMode": ("INPUT", "OUTPUT"),
            "DataType": ("UINT8",),
            "ExecutionContextAllocationStrategy": ("USER_MANAGED",),
        }.items():
            setattr(self, name, SimpleNamespace(**{member: member for member in members}))
        self.NetworkDefinitionCreationFlag = SimpleNamespace(STRONGLY_TYPED=1)
        self.told: list[dict[str, Any]] = []
        """What each build was told."""
        self.needs = 1 << 20
        """Bytes of workspace below which a build fails."""

    def Runtime(self, logger: Any) -> Any:  # noqa: N802 - TensorRT's name
        def deserialize_cuda_engine(content: bytes) -> FakeEngine | None:
            if not content.startswith(b"{"):
                logger.log(1, "Serialization assertion failed: magic tag")
                return None
            return FakeEngine(self._driver, json.loads(content))

        return SimpleNamespace(deserialize_cuda_engine=deserialize_cuda_engine)

    def OnnxParser(self, network: Any, logger: Any) -> Any:  # noqa: N802 - TensorRT's name
        def parse(model: bytes, path: str | None = None) -> bool:
            network.onnx = hashlib.sha256(model).hexdigest()
            return True

        return SimpleNamespace(parse=parse, num_errors=0)

    def Builder(self, logger: Any) -> Any:  # noqa: N802 - TensorRT's name
        def create_network(flags: int) -> Any:
            assert flags == 2, "strongly typed"
            return SimpleNamespace(num_layers=7)

        def build(network: Any, config: FakeConfig) -> bytes | None:
            config.progress_monitor.phase_start("Building", None, 2)
            assert config.progress_monitor.step_complete("Building", 1)
            config.progress_monitor.phase_finish("Building")
            self.told.append({**config.told, "onnx": network.onnx})
            if config.told["WORKSPACE"] < self.needs:
                logger.log(1, "OutOfMemory (Requested size was 9 bytes.)")
                return None
            plan = {"profiles": [profile.shapes for profile in config.profiles], "scratch": 4096}
            return json.dumps(plan).encode()

        return SimpleNamespace(
            create_network=create_network,
            create_builder_config=FakeConfig,
            create_optimization_profile=FakeProfile,
            build_serialized_network=build,
        )


class FakeProfile:
    """An optimisation profile, which must state both inputs alike."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        if name == "ir":
            self.shapes = list(shapes)
        else:
            assert list(shapes) == [(*shape, 3) for shape in self.shapes]


class FakeConfig:
    """A builder's configuration."""

    def __init__(self) -> None:
        self.profiles: list[FakeProfile] = []
        self.told: dict[str, Any] = {"flags": [], "cleared": [], "cache": None}
        self.profiling_verbosity: Any = None
        self.progress_monitor: Any = None

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        if name == "hardware_compatibility_level":
            self.told["hardware"] = value

    def set_memory_pool_limit(self, pool: str, pool_size: int) -> None:
        self.told[pool] = pool_size

    def set_flag(self, flag: str) -> None:
        self.told["flags"].append(flag)

    def clear_flag(self, flag: str) -> None:
        self.told["cleared"].append(flag)

    def add_optimization_profile(self, profile: FakeProfile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, content: bytes) -> Any:
        return SimpleNamespace(content=content, serialize=lambda: content + b"measured;")

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self.told["cache"] = cache.content
        self._cache = cache
        return b"stranger" not in cache.content

    def get_timing_cache(self) -> Any:
        return self._cache


@pytest.fixture
def tensorrt(driver: Any, monkeypatch: pytest.MonkeyPatch) -> FakeTensorRT:
    """The TensorRT that this process finds."""
    fake = FakeTensorRT(driver)
    monkeypatch.setitem(sys.modules, "tensorrt", fake)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    return fake


@pytest.fixture
def engines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this process looks for engines."""
    folder = tmp_path / "engines"
    monkeypatch.setenv("CROSSFUSE_ENGINES", str(folder))
    return folder


@pytest.fixture
def model(mean_bundle: Path) -> ModelFile:
    """The fp32 file of a bundle that averages."""
    return open_bundle(mean_bundle).file("fp32")


@pytest.fixture
def store(engines: Path, model: ModelFile) -> Callable[..., Any]:
    """Stores an engine of that file; what a test changes in its plan is in the arguments."""

    def write(version: str = "10.16.1.11", capability: str = "8.9", **changes: Any) -> Any:
        shapes = [[profile.least, profile.usual, profile.largest] for profile in PROFILES]
        plan = {"profiles": shapes, "scratch": 4096, **changes}
        platform = Platform("tensorrt", version, capability)
        sha256 = hashlib.sha256(model.read()).hexdigest()
        key = EngineKey(sha256, "fp32", platform, "none", PROFILES)
        return write_engine(engines, model, key, json.dumps(plan).encode())

    return write
