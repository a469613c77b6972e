"""What only a GPU can show. Run with TensorRT installed: pytest -m gpu tests/gpu

An fp16 engine of crossfuse-rt is built for two sizes and compared with the fp32 PyTorch network.
Then phases by CUDA events, CUDA graphs and energy, of whatever engines are installed.
"""

from __future__ import annotations

import ctypes
import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from crossfuse.bundles import find_bundle
from crossfuse.engines.tensorrt import TensorRTEngine
from crossfuse.engines.tensorrt_api import installed_tensorrt
from crossfuse.engines.tensorrt_cuda import Cuda
from crossfuse.engines.tensorrt_profiles import WORKSPACE, Profile
from crossfuse.engines.tensorrt_routes import open_native
from crossfuse.engines.tensorrt_store import StoredEngine, write_engine
from crossfuse.errors import CrossFuseError, InvalidInput, ProviderUnavailable
from crossfuse_bench.device.calls import GRAPH, QUEUED, DeviceCalls, TensorRTCalls
from crossfuse_bench.device.energy import energy_field, gpu_identity, measured_energy
from crossfuse_bench.device.passes import open_calls
from crossfuse_bench.engine_case import EngineCase
from crossfuse_export.parity import compare, judge
from crossfuse_export.pictures import pictures_of, real_pictures
from crossfuse_export.reference import Reference
from crossfuse_export.tensorrt_build import BuildOptions
from crossfuse_export.tensorrt_export import export_tensorrt
from crossfuse_training.checkpoint import load

pytestmark = pytest.mark.gpu

SIZES = ((480, 640), (720, 1280))
PROFILES = tuple(Profile.fixed(*size, (1, 1, 3)) for size in SIZES)
ALLOWED_GROWTH = 1 << 20
"""Bytes over 1,000 calls: nothing, but other processes may live on the GPU too."""


@pytest.fixture(scope="module")
def gpu() -> None:
    """Skips where there is none."""
    try:
        Cuda(0).close()
    except ProviderUnavailable as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def stored(gpu: None, tmp_path_factory: pytest.TempPathFactory) -> StoredEngine:
    if installed_tensorrt() is None:
        pytest.skip("the package tensorrt is not installed")
    folder = tmp_path_factory.mktemp("engines")
    folder.chmod(0o700)
    options = BuildOptions(PROFILES, WORKSPACE)
    (exported,) = export_tensorrt(find_bundle("crossfuse-rt"), ["fp16"], folder, options)
    return exported.stored


@pytest.fixture
def engine(stored: StoredEngine) -> Iterator[TensorRTEngine]:
    trt = installed_tensorrt()
    assert trt is not None
    model = find_bundle("crossfuse-rt").file("fp16")
    opened = TensorRTEngine(model, stored, trt, Cuda(0))
    yield opened
    opened.close()


def random_pair(size: tuple[int, int], seed: int, batch: int = 1) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    return (
        random.integers(0, 256, (batch, *size), dtype=np.uint8),
        random.integers(0, 256, (batch, *size, 3), dtype=np.uint8),
    )


def free_memory() -> int:
    """Bytes that are free on the GPU."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    cuda = Cuda(0)
    ctypes.CDLL("libcuda.so.1").cuMemGetInfo_v2(ctypes.byref(free), ctypes.byref(total))
    cuda.close()
    return free.value


@pytest.mark.parametrize("size", SIZES)
def test_fp16_against_fp32_pytorch(
    engine: TensorRTEngine, root: Path, size: tuple[int, int]
) -> None:
    """Real, synthetic and adversarial pictures, alone and in a batch."""
    reference = Reference(load(root / "models" / "crossfuse-rt" / "checkpoint"))
    pictures = pictures_of(*size, real_pictures(None))
    missed = []
    for start in range(0, len(pictures), 3):
        group = pictures[start : start + 3]
        batch = engine.fuse(
            np.stack([picture.ir for picture in group]),
            np.stack([picture.vis for picture in group]),
        )
        for picture, fused in zip(group, batch, strict=True):
            expected, spread = reference.fuse(picture)
            alone = engine.fuse(picture.ir[None], picture.vis[None])[0]
            assert int(np.abs(alone.astype(int) - fused).max()) <= 1
            wrong, _ = judge("fp16", picture.kind, spread, compare(alone, expected))
            missed += [f"{picture.name}: {text}" for text in wrong]
    assert missed == []


def test_a_thousand_calls_take_no_memory(engine: TensorRTEngine) -> None:
    for size in SIZES:
        for batch in (1, 2, 3):
            engine.fuse(*random_pair(size, 0, batch))
    gc.collect()
    before = free_memory()
    for index in range(1000):
        engine.fuse(*random_pair(SIZES[0], index, 1 + index % 3))
    assert before - free_memory() <= ALLOWED_GROWTH


def test_two_streams_at_once(engine: TensorRTEngine) -> None:
    pairs = [random_pair(SIZES[index % 2], index, 1 + index % 3) for index in range(40)]
    expected = [engine.fuse(*pair) for pair in pairs]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda pair: engine.fuse(*pair), pairs * 3))
    for result, wanted in zip(results, expected * 3, strict=True):
        np.testing.assert_array_equal(result, wanted)


def test_a_graph_gives_what_the_first_run_gave(engine: TensorRTEngine) -> None:
    first = [engine.fuse(*random_pair(size, 7)) for size in SIZES]
    for size, wanted in zip(SIZES, first, strict=True):
        np.testing.assert_array_equal(engine.fuse(*random_pair(size, 7)), wanted)
    assert all(prepared.graph is not None for prepared in engine._idle[0]._shapes.values())


def test_other_sizes(engine: TensorRTEngine) -> None:
    with pytest.raises(InvalidInput, match="nearest 1x480x640"):
        engine.fuse(*random_pair((470, 640), 0))


def test_an_engine_of_another_version_is_built_again(
    stored: StoredEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The version in the key changes, as after an update; loading refuses, exporting builds."""
    bundle, folder = find_bundle("crossfuse-rt"), stored.plan.parent / "later"
    model = bundle.file("fp16")
    old = replace(stored.key, platform=replace(stored.key.platform, version="10.0.0.1"))
    write_engine(folder, model, old, stored.read())
    monkeypatch.setenv("CROSSFUSE_ENGINES", str(folder))
    with pytest.raises(ProviderUnavailable, match=r"is for tensorrt 10\.0\.0\.1, here tensorrt"):
        open_native(model, 0, None, False)
    (exported,) = export_tensorrt(bundle, ["fp16"], folder, BuildOptions(PROFILES, WORKSPACE))
    assert exported.built is not None
    open_native(model, 0, None, False).close()


def check_phases(calls: DeviceCalls, pair: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Phases lie within the wall time of their call; returns the picture."""
    for _ in range(5):
        calls.fuse(*pair)
        calls.phases()
    begun = time.perf_counter()
    fused = calls.fuse(*pair)
    wall = 1e3 * (time.perf_counter() - begun)
    phases = calls.phases()
    assert min(phases.values()) > 0
    assert sum(phases.values()) <= wall
    return fused


@pytest.mark.parametrize("graphs", [False, True])
def test_phases_of_tensorrt(stored: StoredEngine, *, graphs: bool) -> None:
    trt = installed_tensorrt()
    assert trt is not None
    model = find_bundle("crossfuse-rt").file("fp16")
    plain = TensorRTEngine(model, stored, trt, Cuda(0))
    expected = plain.fuse(*random_pair(SIZES[0], 5))
    plain.close()
    calls = TensorRTCalls(TensorRTEngine(model, stored, trt, Cuda(0)), graphs=graphs)
    np.testing.assert_array_equal(check_phases(calls, random_pair(SIZES[0], 5)), expected)
    calls.close()


@pytest.mark.parametrize("launch", [QUEUED, GRAPH])
@pytest.mark.parametrize(
    "case",
    [
        EngineCase("crossfuse-rt", *SIZES[0], device="cuda", precision="fp16"),
        EngineCase("eager", *SIZES[0], device="cuda", rival=True),
        EngineCase("compiled", *SIZES[0], device="cuda", rival=True),
    ],
    ids=["onnxruntime", "eager", "compiled"],
)
def test_phases_of_other_engines(gpu: None, case: EngineCase, launch: str) -> None:
    """A graph gives what queued kernels give, or is refused with a reason."""
    try:
        queued = open_calls(case, QUEUED)
    except CrossFuseError as error:
        pytest.skip(str(error))
    expected = check_phases(queued, random_pair(SIZES[0], 5)).astype(int)
    queued.close()
    try:
        calls = open_calls(case, launch)
        fused = check_phases(calls, random_pair(SIZES[0], 5))
    except (CrossFuseError, RuntimeError) as error:
        assert launch == GRAPH
        pytest.skip(f"no CUDA graph of {case.model}: {error}")
    assert np.abs(fused - expected).max() <= 1
    calls.close()


def test_energy_of_the_board(gpu: None) -> None:
    """An idle board uses some watts, and fewer than any board may."""

    def rest() -> int:
        time.sleep(0.1)
        return 1

    field = energy_field([measured_energy(rest, 2.0)])
    if field["joules_per_pair"] is None:
        pytest.skip(field["reason"])
    assert 1 < field["watts"] < 2000
    assert "not known" not in gpu_identity()
