"""Which of the three ways to TensorRT is taken, with a fake TensorRT and a fake CUDA driver."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest

from crossfuse.bundles import ModelFile
from crossfuse.engines import load_engine, onnx_tensorrt
from crossfuse.engines.onnx_tensorrt import ProfiledOnnxEngine, provider_options, rtx_options
from crossfuse.engines.tensorrt import TensorRTEngine
from crossfuse.engines.tensorrt_profiles import ONE_PROFILE
from crossfuse.errors import InvalidInput, ProviderUnavailable


@pytest.fixture
def only_fake_tensorrt(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plugin of TensorRT-RTX is not installed, whatever this machine has."""
    monkeypatch.setattr(onnx_tensorrt, "why_no_rtx", lambda: "no plugin in this test")


@pytest.mark.usefixtures("tensorrt", "only_fake_tensorrt")
def test_an_engine_for_this_machine_comes_first(
    mean_bundle: Path, store: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    store()
    engine = load_engine(mean_bundle, device="tensorrt", precision="fp32", pad=True)
    assert isinstance(engine, TensorRTEngine)
    fused = engine.fuse(np.zeros((1, 30, 40), np.uint8), np.full((1, 30, 40, 3), 50, np.uint8))
    assert fused.shape == (1, 30, 40, 3)
    assert (fused == 25).all()
    engine.close()
    assert "tensorrt runs on TensorRT itself; not on onnxruntime" in caplog.text
    assert "TensorRT-RTX: not needed" in caplog.text


@pytest.mark.usefixtures("tensorrt", "only_fake_tensorrt")
def test_an_engine_of_another_version_is_refused_with_the_difference(
    driver: Any, mean_bundle: Path, store: Callable[..., Any]
) -> None:
    store(version="10.13.0.1")
    store(capability="9.0")
    with pytest.raises(ProviderUnavailable) as refused:
        load_engine(mean_bundle, device="tensorrt", precision="fp32")
    for part in (
        "is for tensorrt 10.13.0.1, here tensorrt 10.16.1.11",
        "is for compute capability 9.0, here 8.9",
        "run crossfuse export tensorrt mean:1 --precision fp32",
        "onnxruntime's TensorRT provider: this onnxruntime has no TensorRT provider",
        "TensorRT-RTX: no plugin in this test",
        "pip install 'crossfuse[tensorrt]'",
    ):
        assert part in str(refused.value)
    assert "\n" not in str(refused.value)
    assert driver.contexts == 0


@pytest.mark.usefixtures("driver", "only_fake_tensorrt")
def test_the_reason_against_the_provider(
    mean_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = ["TensorrtExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: everything)
    with pytest.raises(ProviderUnavailable, match=r"needs TensorRT 10 .libnvinfer.so.10."):
        load_engine(mean_bundle, device="tensorrt")


def test_the_options_of_the_providers(tensorrt: Any, model: ModelFile, engines: Path) -> None:
    options = provider_options(model, "8.9", engines)
    height, width = ONE_PROFILE.largest[1:]
    largest = f"{ONE_PROFILE.largest[0]}x{height}x{width}"
    assert options["trt_profile_min_shapes"] == "ir:1x480x640,vis:1x480x640x3"
    assert options["trt_profile_opt_shapes"] == "ir:1x480x640,vis:1x480x640x3"
    assert options["trt_profile_max_shapes"] == f"ir:{largest},vis:{largest}x3"
    assert rtx_options()["nv_profile_max_shapes"] == options["trt_profile_max_shapes"]
    folder = Path(options["trt_engine_cache_path"])
    assert folder.parent == engines
    assert folder.stat().st_mode & 0o777 == 0o700
    assert options["trt_timing_cache_path"] == str(folder)
    assert not any("fp16" in key or "int8" in key for key in options), "types are in the file"
    # Everything that an engine depends on changes the folder.
    assert Path(provider_options(model, "9.0", engines)["trt_engine_cache_path"]) != folder
    tensorrt.__version__ = "10.13.0.1"
    assert Path(provider_options(model, "8.9", engines)["trt_engine_cache_path"]) != folder


class OnTheCpu(ProfiledOnnxEngine):
    """The profile's rules, with a session of the CPU behind them."""

    def _provider(self, device: str) -> str:
        return "CPUExecutionProvider"

    def _open(self, content: bytes, options: Any, *_: Any) -> Any:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def _own_buffers(self, device: str, device_id: int) -> None:
        return None


def test_sizes_outside_of_the_one_profile(model: ModelFile) -> None:
    ir, vis = np.zeros((1, 470, 640), np.uint8), np.full((1, 470, 640, 3), 80, np.uint8)
    with pytest.raises(InvalidInput, match=r"got 1x470x640 .* nearest 1x480x640"):
        OnTheCpu(model).fuse(ir, vis)
    padding = OnTheCpu(model, pad=True)
    padding.warm_up(32, 32)
    fused = padding.fuse(ir, vis)
    assert fused.shape == vis.shape
    assert (fused == 40).all()


class Plugin:
    """`onnxruntime_ep_nv_tensorrt_rtx`, and the registration in onnxruntime."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, devices: int) -> None:
        self.registered: list[str] = []
        self._devices = [SimpleNamespace(ep_name="Rtx", number=n) for n in range(devices)]
        module = SimpleNamespace(get_ep_name=lambda: "Rtx", get_library_path=lambda: "a path")
        monkeypatch.setattr(onnx_tensorrt, "_rtx_plugin", lambda: module)
        monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
        monkeypatch.setattr(
            onnxruntime,
            "register_execution_provider_library",
            lambda name, path: self.registered.append(name),
        )
        monkeypatch.setattr(onnxruntime, "get_ep_devices", self.devices)

    def devices(self) -> list[Any]:
        others = [SimpleNamespace(ep_name="CPUExecutionProvider")]
        return others + (self._devices if self.registered else [])


def test_the_plugin_is_registered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = Plugin(monkeypatch, devices=2)
    assert onnx_tensorrt.why_no_rtx() is None
    assert [device.number for device in onnx_tensorrt._rtx_devices()] == [0, 1]
    assert plugin.registered == ["Rtx"]


def test_a_machine_without_an_rtx_gpu(monkeypatch: pytest.MonkeyPatch, model: ModelFile) -> None:
    Plugin(monkeypatch, devices=0)
    assert onnx_tensorrt.why_no_rtx() == "no GPU here is one that TensorRT-RTX runs on"
    with pytest.raises(ProviderUnavailable, match="got number 0; valid: 0 RTX devices"):
        onnx_tensorrt.RtxEngine(model)


def test_a_plugin_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    Plugin(monkeypatch, devices=1)

    def fail(name: str, path: str) -> None:
        raise RuntimeError("libcuda.so.1: cannot open shared object file")

    monkeypatch.setattr(onnxruntime, "register_execution_provider_library", fail)
    reason = onnx_tensorrt.why_no_rtx()
    assert reason == "its plugin cannot be loaded: libcuda.so.1: cannot open shared object file"


def test_work_that_tensorrt_leaves_to_others_is_refused(
    model: ModelFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = SimpleNamespace(
        ep_name="CUDAExecutionProvider", get_nodes=lambda: [SimpleNamespace(op_type="Conv")]
    )
    monkeypatch.setattr(
        onnxruntime.InferenceSession, "get_provider_graph_assignment_info", lambda _: [part]
    )
    with pytest.raises(ProviderUnavailable, match="placed Conv on CUDAExecutionProvider"):
        OnTheCpu(model)
