"""The TensorRT engine against a fake CUDA driver and a fake TensorRT, which check every call.

What only a GPU can show (results, speed, that captures succeed) is in tests/gpu/test_on_gpu.py.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from crossfuse.bundles import ModelFile
from crossfuse.engines import tensorrt_lane
from crossfuse.engines.tensorrt import TensorRTEngine
from crossfuse.engines.tensorrt_cuda import Cuda
from crossfuse.errors import (
    BundleError,
    DeviceLost,
    EngineError,
    InvalidInput,
    OutOfMemory,
    ProviderUnavailable,
)

Pair = tuple[np.ndarray, np.ndarray]


def pair(batch: int, height: int, width: int, seed: int = 0) -> Pair:
    random = np.random.default_rng(seed)
    return (
        random.integers(0, 256, (batch, height, width), dtype=np.uint8),
        random.integers(0, 256, (batch, height, width, 3), dtype=np.uint8),
    )


def mean(ir: np.ndarray, vis: np.ndarray) -> np.ndarray:
    return np.asarray((ir[..., None].astype(np.uint16) + vis) // 2, np.uint8)


@pytest.fixture
def open_engine(
    driver: Any, tensorrt: Any, model: ModelFile, store: Callable[..., Any]
) -> Callable[..., TensorRTEngine]:
    def open_it(plan: dict[str, Any] | None = None, **options: Any) -> TensorRTEngine:
        return TensorRTEngine(model, store(**(plan or {})), tensorrt, Cuda(0), **options)

    return open_it


def test_every_profile_and_batch(driver: Any, open_engine: Callable[..., TensorRTEngine]) -> None:
    engine = open_engine()
    for seed, shape in enumerate([(1, 32, 40), (3, 32, 40), (2, 48, 64), (1, 32, 40)]):
        ir, vis = pair(*shape, seed=seed)
        np.testing.assert_array_equal(engine.fuse(ir, vis), mean(ir, vis))
    description = engine.describe()
    assert (description.device, description.runtime) == ("tensorrt:0", "tensorrt 10.16.1.11")
    engine.close()
    assert driver.contexts == 0
    assert not driver.memory
    assert not driver.streams


def test_a_shape_is_recorded_once_and_then_launched(
    driver: Any, open_engine: Callable[..., TensorRTEngine]
) -> None:
    engine = open_engine()
    results = [engine.fuse(*pair(1, 32, 40, seed)) for seed in range(5)]
    count = driver.count()
    assert (count["cuStreamBeginCapture_v2"], count["cuGraphInstantiateWithFlags"]) == (1, 1)
    assert count["cuGraphLaunch"] == 4
    for seed, result in enumerate(results):
        np.testing.assert_array_equal(result, mean(*pair(1, 32, 40, seed)))


def test_calls_allocate_nothing(driver: Any, open_engine: Callable[..., TensorRTEngine]) -> None:
    engine = open_engine()
    shapes = [(1, 32, 40), (2, 32, 40), (1, 48, 64)]
    for shape in shapes:
        engine.fuse(*pair(*shape))
    before, calls = set(driver.memory), len(driver.calls)
    for index in range(1000):
        engine.fuse(*pair(*shapes[index % 3], seed=index))
    assert set(driver.memory) == before
    after = set(driver.calls[calls:])
    assert after == {"cuCtxSetCurrent", "cuGraphLaunch", "cuStreamSynchronize"}


def test_shapes_that_are_not_used_go(
    driver: Any, open_engine: Callable[..., TensorRTEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tensorrt_lane, "LARGEST_NUMBER_OF_SHAPES", 2)
    engine = open_engine()
    for batch in (1, 2, 1, 3):
        engine.fuse(*pair(batch, 32, 40))
    assert len(driver.executables) == 2
    calls = driver.count()["cuGraphLaunch"]
    engine.fuse(*pair(1, 32, 40))
    assert driver.count()["cuGraphLaunch"] == calls + 1, "the oldest one went, not the last used"


def test_two_streams_at_once(driver: Any, open_engine: Callable[..., TensorRTEngine]) -> None:
    engine = open_engine()
    met = threading.Barrier(2, timeout=20)
    for seed in range(2):
        engine.fuse(*pair(1, 32, 40, seed))
    lane = engine._idle[0]
    run = lane.run

    def slow(ir: np.ndarray, vis: np.ndarray, profile: int) -> np.ndarray:
        met.wait()
        return run(ir, vis, profile)

    lane.run = slow  # type: ignore[method-assign]
    made = engine._new_lane

    def new_lane() -> Any:
        met.wait()
        return made()

    engine._new_lane = new_lane  # type: ignore[method-assign]
    with ThreadPoolExecutor(2) as pool:
        pairs = [pair(1, 32, 40, seed) for seed in (5, 6)]
        results = list(pool.map(lambda given: engine.fuse(*given), pairs))
    for result, given in zip(results, pairs, strict=True):
        np.testing.assert_array_equal(result, mean(*given))
    assert len(driver.streams) == 2
    engine.close()


def test_many_threads_on_few_streams(open_engine: Callable[..., TensorRTEngine]) -> None:
    engine = open_engine()
    pairs = [pair(1 + seed % 3, 32, 40, seed) for seed in range(60)]
    with ThreadPoolExecutor(6) as pool:
        results = list(pool.map(lambda given: engine.fuse(*given), pairs))
    for result, given in zip(results, pairs, strict=True):
        np.testing.assert_array_equal(result, mean(*given))
    assert engine._made <= 2
    engine.close()


def test_no_memory_for_a_second_stream(
    driver: Any, open_engine: Callable[..., TensorRTEngine]
) -> None:
    engine = open_engine()
    lane = engine._idle.pop()
    driver.fail["cuMemAllocHost_v2"] = 2
    timer = threading.Timer(0.05, lambda: engine._give_back(lane))
    timer.start()
    ir, vis = pair(1, 32, 40)
    np.testing.assert_array_equal(engine.fuse(ir, vis), mean(ir, vis))
    timer.join()
    assert (engine._made, engine._most) == (1, 1)
    assert len(driver.streams) == 1
    engine.close()


def test_other_sizes_are_refused_with_the_nearest(
    open_engine: Callable[..., TensorRTEngine],
) -> None:
    engine = open_engine()
    with pytest.raises(InvalidInput, match=r"got 1x30x40 .* nearest 1x32x40; profiles: 32x40:1,1"):
        engine.fuse(*pair(1, 30, 40))
    ir, vis = pair(1, 32, 40)
    with pytest.raises(InvalidInput, match=r"ir \[B,H,W\] and vis"):
        engine.fuse(ir, vis[:, :16])


def test_smaller_pictures_are_padded_when_asked(
    open_engine: Callable[..., TensorRTEngine],
) -> None:
    engine = open_engine(pad=True)
    for shape in ((1, 20, 40), (2, 33, 40), (1, 47, 63)):
        ir, vis = pair(*shape)
        fused = engine.fuse(ir, vis)
        np.testing.assert_array_equal(fused, mean(ir, vis))
        assert fused.flags.c_contiguous
    with pytest.raises(InvalidInput, match="nearest 1x48x64"):
        engine.fuse(*pair(1, 49, 64))


def test_large_batches_run_in_parts(open_engine: Callable[..., TensorRTEngine]) -> None:
    ir, vis = pair(7, 32, 40)
    np.testing.assert_array_equal(open_engine().fuse(ir, vis), mean(ir, vis))


def test_warm_up_takes_the_nearest_size(open_engine: Callable[..., TensorRTEngine]) -> None:
    engine = open_engine()
    engine.warm_up(480, 640)
    engine.warm_up(32, 40, batch=8)
    shapes = list(engine._idle[0]._shapes)
    assert shapes == [(1, 48, 64), (3, 32, 40), (2, 32, 40)]


@pytest.mark.parametrize(
    ("call", "code", "kind"),
    [
        ("cuMemcpyHtoDAsync_v2", 700, DeviceLost),
        ("cuStreamSynchronize", 719, DeviceLost),
        ("cuMemcpyDtoHAsync_v2", 2, OutOfMemory),
        ("cuMemcpyDtoHAsync_v2", 1, EngineError),
    ],
)
def test_failures_are_typed_and_settle(
    driver: Any, open_engine: Callable[..., TensorRTEngine], call: str, code: int, kind: type
) -> None:
    engine = open_engine()
    # The profile is set, and waited for, with the first shape; that is not what fails here.
    engine._idle[0]._prepared((1, 32, 40), 0)
    driver.fail[call] = code
    with pytest.raises(kind, match=f"CUDA failure {code} .CUDA_ERROR_OF_A_TEST. in {call}"):
        engine.fuse(*pair(1, 32, 40))
    assert not any(driver.streams.values()), "nothing is left in the queue"
    ir, vis = pair(1, 32, 40, seed=3)
    np.testing.assert_array_equal(engine.fuse(ir, vis), mean(ir, vis))
    engine.close()


@pytest.mark.parametrize(
    "call", ["cuStreamBeginCapture_v2", "cuMemcpyHtoDAsync_v2", "cuGraphInstantiateWithFlags"]
)
def test_what_cannot_be_recorded_is_queued_anew(
    driver: Any,
    open_engine: Callable[..., TensorRTEngine],
    call: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = open_engine()
    record = engine._idle[0]._record

    def failing(*arguments: Any) -> None:
        driver.fail[call] = 900
        record(*arguments)

    monkeypatch.setattr(engine._idle[0], "_record", failing)
    for seed in range(3):
        ir, vis = pair(1, 32, 40, seed)
        np.testing.assert_array_equal(engine.fuse(ir, vis), mean(ir, vis))
    assert "no CUDA graph for (1, 32, 40)" in caplog.text
    assert len([entry for entry in caplog.records if "no CUDA graph" in entry.message]) == 1
    engine.close()


def test_tensorrt_that_refuses_a_run(open_engine: Callable[..., TensorRTEngine]) -> None:
    with pytest.raises(EngineError, match="TensorRT gave no reason"):
        open_engine({"refuses": True}).fuse(*pair(1, 32, 40))
    with pytest.raises(EngineError, match="no execution context"):
        open_engine({"no_context": True}).fuse(*pair(1, 32, 40))


def test_no_memory_at_the_start_frees_what_was_taken(
    driver: Any, open_engine: Callable[..., TensorRTEngine]
) -> None:
    driver.fail["cuMemAllocHost_v2"] = 2
    with pytest.raises(OutOfMemory):
        open_engine()
    assert not driver.memory
    assert not driver.streams


def test_engines_of_somebody_else(
    driver: Any, tensorrt: Any, model: ModelFile, store: Callable[..., Any]
) -> None:
    stored = store(names=["fused", "ir", "depth"])
    with pytest.raises(BundleError, match="got the tensors fused, ir, depth; valid: inputs ir"):
        TensorRTEngine(model, stored, tensorrt, Cuda(0))
    stored = store()
    stored.plan.write_bytes(b"changed")
    with pytest.raises(BundleError, match="was changed or damaged"):
        TensorRTEngine(model, stored, tensorrt, Cuda(0))


def test_closing_waits_and_ends(open_engine: Callable[..., TensorRTEngine]) -> None:
    engine = open_engine()
    engine.close()
    engine.close()
    with pytest.raises(EngineError, match="closed"):
        engine.fuse(*pair(1, 32, 40))


def test_a_lost_device_can_be_closed(
    driver: Any, open_engine: Callable[..., TensorRTEngine], caplog: pytest.LogCaptureFixture
) -> None:
    """So that a server can open the engine anew: what cannot be freed is gone already."""
    engine = open_engine()
    engine.fuse(*pair(1, 32, 40))
    frees = ("cuGraphExecDestroy", "cuMemFreeHost", "cuMemFree_v2", "cuStreamDestroy_v2")
    for call in frees:
        driver.fail[call] = 700
    engine.close()
    assert driver.fail == {}
    assert caplog.text.count("while freeing: the device was lost") == len(frees)


def test_a_device_that_is_not_there(driver: Any) -> None:
    with pytest.raises(ProviderUnavailable, match="got number 1; valid: 1 CUDA devices"):
        Cuda(1)
    driver.fail["cuInit"] = 100
    with pytest.raises(ProviderUnavailable, match="driver cannot be used: CUDA failure 100"):
        Cuda(0)
