"""PyTorch's events and CUDA graphs, by stand-ins that record what runs and run it again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from crossfuse import synthetic
from crossfuse.errors import ProviderUnavailable
from crossfuse_bench.device.torch_calls import TorchCalls
from crossfuse_training.networks import contract

SHAPE = (1, 64, 64)
CHECK = contract.check_image


class FakeEvent:
    """Notes when it was recorded, in ms."""

    def __init__(self, *, enable_timing: bool) -> None:
        assert enable_timing
        self.at: float | None = None

    def record(self) -> None:
        self.at = 1e3 * time.perf_counter()

    def synchronize(self) -> None:
        assert self.at is not None

    def elapsed_time(self, end: FakeEvent) -> float:
        assert self.at is not None
        assert end.at is not None
        return end.at - self.at


class Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes every operation with the tensors it took and gave."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.steps: list[Any] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        given = func(*args, **(kwargs or {}))
        self.steps.append((func, args, kwargs or {}, given))
        return given


class FakeGraph:
    """Runs what was recorded again, on the tensors of then."""

    def __init__(self) -> None:
        self.recording = Recording()
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        with torch.no_grad():
            for func, args, kwargs, given in self.recording.steps:
                again = func(*args, **kwargs)
                if isinstance(given, torch.Tensor) and again.data_ptr() != given.data_ptr():
                    given.copy_(again)


class FakeStream:
    """One that waits for nobody, as everything is done at once."""

    def wait_stream(self, other: FakeStream) -> None: ...


@contextmanager
def capturing(graph: FakeGraph) -> Iterator[None]:
    with graph.recording:
        yield


@contextmanager
def beside(stream: FakeStream) -> Iterator[None]:
    yield


@pytest.fixture(autouse=True)
def cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """`torch.cuda` as far as the calls use it; tensors stay on the CPU."""
    torch.set_num_threads(1)
    for name, fake in {
        "Event": FakeEvent, "CUDAGraph": FakeGraph, "Stream": FakeStream,
        "current_stream": FakeStream, "graph": capturing, "stream": beside,
    }.items():  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, fake)
    monkeypatch.setattr(contract, "check_image", lambda field, image: None)


def pictures(seed: int) -> tuple[np.ndarray, np.ndarray]:
    ir, vis = synthetic.pair(seed, *SHAPE[1:])
    return ir[None], vis[None]


def open_calls(*, graphs: bool, half: bool = False) -> TorchCalls:
    return TorchCalls("eager", SHAPE, threads=1, half=half, graphs=graphs, device="cpu")


def test_a_graph_gives_what_queued_calls_give() -> None:
    queued, graph = open_calls(graphs=False), open_calls(graphs=True)
    replayed = []
    for seed in range(3):
        # The picture on a GPU is a copy; here it is what the next call writes to.
        replayed.append(graph.fuse(*pictures(seed)).copy())
        np.testing.assert_array_equal(replayed[-1], queued.fuse(*pictures(seed)))
    assert graph._graph.replays == 3
    assert not np.array_equal(replayed[0], replayed[1])
    graph.close()
    assert graph._graph is None


@pytest.mark.parametrize("graphs", [False, True])
def test_phases_lie_within_the_call(*, graphs: bool) -> None:
    calls = open_calls(graphs=graphs)
    begun = time.perf_counter()
    calls.fuse(*pictures(0))
    wall = 1e3 * (time.perf_counter() - begun)
    phases = calls.phases()
    assert list(phases) == ["upload", "compute", "download"]
    assert min(phases.values()) > 0
    assert sum(phases.values()) <= wall
    # A network takes longer than a copy of 16 KB.
    assert phases["compute"] > phases["upload"]


def test_half_precision_is_said_and_near() -> None:
    single, half = open_calls(graphs=False), open_calls(graphs=True, half=True)
    assert single.describe()["precision"] == "fp32"
    assert half.describe()["precision"] == "fp16 (autocast)"
    assert half.describe()["provider"] == "PyTorch on cpu, eager"
    difference = np.abs(single.fuse(*pictures(1)).astype(int) - half.fuse(*pictures(1)))
    assert 0 < difference.max() <= 8


def test_what_cannot_be_captured_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Here by the look at the values, which the networks spare themselves on a real GPU alone."""
    monkeypatch.setattr(contract, "check_image", CHECK)
    with pytest.raises(RuntimeError, match="not permitted when stream is capturing"):
        open_calls(graphs=True)


def test_no_cuda_is_refused_by_name() -> None:
    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ProviderUnavailable, match="device: got 'cuda'"):
        TorchCalls("eager", SHAPE, threads=1, half=True, graphs=False)
