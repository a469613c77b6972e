"""Phases of a call by CUDA events and CUDA graphs, against a driver whose clock only work moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
import pytest

from crossfuse.bundles import ModelFile
from crossfuse.engines import onnx_tensorrt
from crossfuse.engines.tensorrt import TensorRTEngine
from crossfuse.engines.tensorrt_cuda import Cuda
from crossfuse.errors import BundleError, EngineError, InvalidInput, ProviderUnavailable
from crossfuse_bench.device import nvml, passes
from crossfuse_bench.device.calls import GRAPH, QUEUED, TensorRTCalls
from crossfuse_bench.device.energy import Energy
from crossfuse_bench.device.onnx_calls import OnnxCalls
from crossfuse_bench.engine_case import EngineCase
from crossfuse_bench.engine_runs import measure

KERNEL_MS, BYTES_PER_MS = 7.0, 1000
SHAPE = (1, 32, 40)
PIXELS = 32 * 40
PHASES = {"upload": 4 * PIXELS / 1000, "compute": 7.0, "download": 3 * PIXELS / 1000}


def pair(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return (
        random.integers(0, 256, shape, dtype=np.uint8),
        random.integers(0, 256, (*shape, 3), dtype=np.uint8),
    )


def mean(ir: np.ndarray, vis: np.ndarray) -> np.ndarray:
    return np.asarray((ir[..., None].astype(np.uint16) + vis) // 2, np.uint8)


@pytest.fixture
def open_native(
    driver: Any, tensorrt: Any, model: ModelFile, store: Callable[..., Any]
) -> Callable[..., TensorRTCalls]:
    def open_it(*, graphs: bool) -> TensorRTCalls:
        engine = TensorRTEngine(model, store(), tensorrt, Cuda(0))
        return TensorRTCalls(engine, graphs=graphs)

    return open_it


@pytest.mark.parametrize("graphs", [False, True])
def test_tensorrt_tells_its_phases(
    driver: Any, open_native: Callable[..., TensorRTCalls], *, graphs: bool
) -> None:
    calls = open_native(graphs=graphs)
    for seed in range(5):
        ir, vis = pair(seed=seed)
        np.testing.assert_array_equal(calls.fuse(ir, vis), mean(ir, vis))
        assert calls.phases() == pytest.approx(PHASES)
    count = driver.count()
    # The first call is queued; a graph has the events in it and needs no more.
    assert count["cuEventRecordWithFlags"] == (8 if graphs else 20)
    assert count["cuGraphLaunch"] == (4 if graphs else 0)
    calls.close()
    assert driver.contexts == 0


def test_a_batch_in_parts_has_the_phases_of_all_parts(
    open_native: Callable[..., TensorRTCalls],
) -> None:
    calls = open_native(graphs=True)
    ir, vis = pair((7, 32, 40))
    np.testing.assert_array_equal(calls.fuse(ir, vis), mean(ir, vis))
    phases = calls.phases()
    # Three, three and one.
    assert phases["compute"] == pytest.approx(3 * KERNEL_MS)
    assert phases["upload"] == pytest.approx(7 * PHASES["upload"])
    calls.fuse(ir, vis)
    assert calls.phases() == pytest.approx(phases), "a call's own, not a sum over calls"


def test_a_graph_that_cannot_be_recorded_is_a_reason(
    driver: Any, open_native: Callable[..., TensorRTCalls], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = open_native(graphs=True)
    record = calls._engine._idle[0]._record

    def failing(*arguments: Any) -> None:
        driver.fail["cuStreamBeginCapture_v2"] = 900
        record(*arguments)

    monkeypatch.setattr(calls._engine._idle[0], "_record", failing)
    with pytest.raises(EngineError, match=r"no CUDA graph can be recorded: .*CUDA failure 900"):
        calls.fuse(*pair())
    assert passes.launch_of(EngineCase("m", 32, 40), calls._engine) == QUEUED
    calls.close()


class FakeBinding:
    """Addresses by name."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self.views: dict[str, Any] = {}

    def bind_input(
        self, name: str, device: str, number: int, kind: Any, shape: list[int], address: int
    ) -> None:
        assert (device, number, kind) == ("cuda", 0, np.uint8)
        self.views[name] = self._driver.at(address, int(np.prod(shape))).reshape(shape)

    bind_output = bind_input


class FakeSession:
    """A session on a GPU: runs on the stream it was given; its graph keeps the first addresses."""

    def __init__(self, driver: Any, real: Any, providers: Any) -> None:
        self._driver, self._real, self._providers = driver, real, providers
        self._options = providers[0][1]
        self._runs = 0
        self._captured: Any = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def get_providers(self) -> list[str]:
        return [name for name, _ in self._providers]

    def get_provider_graph_assignment_info(self) -> list[Any]:
        return []

    def io_binding(self) -> FakeBinding:
        return FakeBinding(self._driver)

    def run_with_iobinding(self, binding: FakeBinding) -> None:
        self._runs += 1
        graph = {"enable_cuda_graph", "trt_cuda_graph_enable"} & self._options.keys()
        if graph and self._runs == 2:
            self._captured = binding
        used = self._captured or binding
        stream = int(self._options["user_compute_stream"])

        def kernel() -> None:
            views = used.views
            inputs = {name: np.array(views[name]) for name in ("ir", "vis")}
            views["fused"][...] = self._real.run(["fused"], inputs)[0]
            self._driver.pass_time(KERNEL_MS)

        self._driver.queue(stream, kernel)


@pytest.fixture
def onnx_on_gpu(driver: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The sessions that onnxruntime opens, on the fake GPU."""
    opened: list[Any] = []
    real = onnxruntime.InferenceSession

    def session(content: bytes, options: Any = None, providers: Any = ()) -> Any:
        if isinstance(providers[0], str):
            return real(content, options, providers=providers)
        assert all(
            own["user_compute_stream"] == providers[0][1]["user_compute_stream"]
            for _, own in providers
        ), "both providers work on one stream"
        opened.append(
            FakeSession(driver, real(content, providers=["CPUExecutionProvider"]), providers)
        )
        return opened[-1]

    available = [f"{name}ExecutionProvider" for name in ("CUDA", "Tensorrt", "CPU")]
    monkeypatch.setattr(onnxruntime, "InferenceSession", session)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: available)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    return opened


@pytest.mark.parametrize("graphs", [False, True])
def test_onnxruntime_tells_its_phases(
    driver: Any, onnx_on_gpu: list[Any], model: ModelFile, *, graphs: bool
) -> None:
    calls = OnnxCalls(model, "cuda", SHAPE, threads=1, graphs=graphs)
    for seed in range(4):
        ir, vis = pair(seed=seed)
        assert np.abs(calls.fuse(ir, vis).astype(int) - mean(ir, vis)).max() <= 1
        assert calls.phases() == pytest.approx(PHASES)
    assert (onnx_on_gpu[0]._captured is not None) is graphs
    with pytest.raises(InvalidInput, match="as it was opened"):
        calls.fuse(*pair((2, 32, 40)))
    calls.close()
    assert driver.contexts == 0


def test_onnxruntime_with_tensorrt_takes_what_its_profile_takes(
    driver: Any, tensorrt: Any, engines: Any, onnx_on_gpu: list[Any], model: ModelFile
) -> None:
    calls = OnnxCalls(model, "tensorrt", (2, 480, 640), threads=1, graphs=True)
    options = onnx_on_gpu[0]._options
    assert options["trt_cuda_graph_enable"] == "True"
    assert "trt_profile_max_shapes" in options
    calls.close()
    with pytest.raises(InvalidInput, match="runs in parts or padded"):
        OnnxCalls(model, "tensorrt", SHAPE, threads=1, graphs=True)
    assert driver.contexts == 0


def test_a_session_that_refuses_a_graph_leaves_nothing(
    driver: Any, onnx_on_gpu: list[Any], model: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise RuntimeError("This session cannot use the graph capture feature")

    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(BundleError, match="cannot use the graph capture feature"):
        OnnxCalls(model, "cuda", SHAPE, threads=1, graphs=True)
    assert (driver.contexts, driver.events, driver.memory) == (0, {}, {})


def test_a_process_measures_a_graph_of_onnxruntime(
    onnx_on_gpu: list[Any],
    mean_bundle: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(passes, "LEAST_ENERGY_SECONDS", 0.0)
    monkeypatch.setattr(nvml, "LIBRARY", "libof-nobody.so.1")
    case = EngineCase(str(mean_bundle), 32, 40, device="cuda", precision="fp32", launch=GRAPH)
    run = measure(case, 0.2)
    assert run.description["provider"] == "CUDAExecutionProvider"
    assert run.on_device is not None
    assert run.on_device.launch == GRAPH
    field = passes.device_times_field([run.on_device])
    assert field["n"] == len(run.on_device.calls) > 0
    assert field["compute"]["p50"] == pytest.approx(KERNEL_MS)
    assert field["wall"]["p50"] > 0
    assert [picture.shape for picture in run.fused] == [(32, 40, 3)] * 2
    assert run.on_device.energy.missing.startswith("not measured: libof-nobody.so.1")


def test_too_few_calls_give_a_reason_for_a_percentile() -> None:
    calls = [dict.fromkeys(("upload", "compute", "download", "wall"), 2.0)] * 80
    run = passes.DeviceRun(QUEUED, Energy(missing="none"), calls)
    found = passes.device_times_field([run])
    assert found["compute"]["p50"] == found["compute"]["p95"] == 2.0
    assert found["compute"]["p99"] is None
    assert found["compute"]["reasons"] == {"p99": "80 samples; p99 needs at least 368"}


def test_an_engine_without_a_split_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    class Plugin(onnx_tensorrt.RtxEngine):
        def __init__(self) -> None: ...

        def close(self) -> None: ...

    monkeypatch.setattr(passes, "loaded", lambda _: Plugin())
    with pytest.raises(
        ProviderUnavailable, match=r"TensorRT-RTX as a plugin .* a stream of its own"
    ):
        passes.open_calls(EngineCase("m", 32, 40, device="tensorrt"), QUEUED)
