from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from crossfuse.engines import device_ids, load_engine, precision_choices
from crossfuse.engines.devices import available_cpus
from crossfuse.engines.onnx import OnnxEngine, _typed
from crossfuse.engines.onnx_buffers import DeviceBuffers
from crossfuse.errors import (
    BundleError,
    DeviceLost,
    EngineError,
    InvalidInput,
    MissingDependency,
    OutOfMemory,
    ProviderUnavailable,
    UnknownName,
)


def batch(size: tuple[int, int, int], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return (
        random.integers(0, 256, size, dtype=np.uint8),
        random.integers(0, 256, (*size, 3), dtype=np.uint8),
    )


def test_it_fuses_and_says_what_it_is(mean_bundle: Path) -> None:
    engine = load_engine(mean_bundle, device="cpu", threads=1)
    ir, vis = batch((2, 33, 47))
    expected = np.rint(ir[..., None] * 0.5 + vis * 0.5).astype(np.uint8)
    np.testing.assert_array_equal(engine.fuse(ir, vis), expected)
    description = engine.describe()
    assert (description.name, description.version, description.precision) == ("mean", 1, "fp32")
    assert (description.device, description.provider) == ("cpu", "CPUExecutionProvider")
    assert description.threads == 1


def test_warm_up_runs_at_any_size(mean_bundle: Path) -> None:
    load_engine(mean_bundle, device="cpu").warm_up(40, 50, batch=3)


def test_the_device_buffers_of_a_gpu_give_the_same_and_own_their_result(mean_bundle: Path) -> None:
    engine = load_engine(mean_bundle, device="cpu")
    assert isinstance(engine, OnnxEngine)
    buffers = DeviceBuffers(engine.session, 0, device_type="cpu")
    results = []
    for size, seed in (((1, 32, 32), 1), ((1, 32, 32), 2), ((2, 40, 33), 3)):
        ir, vis = batch(size, seed)
        results.append((buffers.run(ir, vis), engine.fuse(ir, vis)))
    for through_buffers, plain in results:
        np.testing.assert_array_equal(through_buffers, plain)


def test_a_gpu_that_is_not_there_is_refused_and_not_replaced(mean_bundle: Path) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this machine has the CUDA provider")
    with pytest.raises(ProviderUnavailable, match="CUDAExecutionProvider"):
        load_engine(mean_bundle, device="cuda")


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_silent_fallback_to_another_provider_is_refused(
    mean_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: everything)
    with pytest.raises(ProviderUnavailable, match="loaded CPUExecutionProvider instead of CUDA"):
        load_engine(mean_bundle, device="cuda")
    assert load_engine(mean_bundle, device="auto").describe().device == "cpu"


def test_unknown_names_are_refused(mean_bundle: Path) -> None:
    with pytest.raises(UnknownName, match="did you mean 'cuda'"):
        load_engine(mean_bundle, device="cuba")
    with pytest.raises(UnknownName, match="precision"):
        load_engine(mean_bundle, precision="fp8")
    with pytest.raises(InvalidInput, match="threads"):
        load_engine(mean_bundle, threads=0)


def test_a_missing_runtime_says_how_to_install_it(
    mean_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(MissingDependency, match=r"pip install 'crossfuse\[cpu\]'"):
        load_engine(mean_bundle)


def test_auto_is_never_int8_on_a_cpu() -> None:
    assert precision_choices("auto", "cpu") == ("fp32",)
    assert precision_choices("auto", "cuda") == ("fp16", "fp32")
    assert precision_choices("int8", "cpu") == ("int8",)


def test_bytes_that_are_no_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"\x08\x01not a model")
    with pytest.raises(BundleError, match=r"broken\.onnx"):
        load_engine(path)


def test_a_graph_with_other_tensors_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "other",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(BundleError, match=r"inputs: got .*'x'.*valid: .*'ir'"):
        load_engine(tmp_path / "other.onnx")


def test_a_failing_run_is_a_typed_error(mean_bundle: Path) -> None:
    engine = load_engine(mean_bundle, device="cpu")
    ir, vis = batch((1, 32, 32))
    with pytest.raises(EngineError):
        engine.fuse(ir, vis[:, :16])


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Failed to allocate memory for requested buffer of size 1024", OutOfMemory),
        ("CUDA failure 2: out of memory ; GPU=0", OutOfMemory),
        ("CUDA failure 700: an illegal memory access was encountered", DeviceLost),
        ("CUDA failure 719: unspecified launch failure", DeviceLost),
        ("Non-zero status code returned while running Add node", EngineError),
    ],
)
def test_messages_of_the_runtime_become_types(message: str, kind: type[EngineError]) -> None:
    assert type(_typed(RuntimeError(message))) is kind


def test_devices_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert list(device_ids("cuda", tmp_path)) == [0, 1]
    assert list(device_ids("cpu", tmp_path)) == [0]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert list(device_ids("cuda", tmp_path)) == [0]


def test_cpus_are_those_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 5})
    assert available_cpus() == 3
