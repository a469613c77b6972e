"""A CUDA driver that is none: it checks every call, on machines without a GPU.

Device memory is host memory. Copies and kernels wait in their stream until it is synchronised, so
that whoever reads too early reads the bytes from before. Addresses must lie in what is allocated,
frees happen once and not under queued work, and a thread that did not choose the GPU may not call.
It proves which calls are made in which order, not that a GPU does what it is told.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from crossfuse.engines import tensorrt_cuda

Work = Callable[[], None]


class FakeDriver:
    """`libcuda` as far as `crossfuse.engines.tensorrt_cuda` calls it."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail: dict[str, int] = {}
        """Error code of the next call of a name."""
        self.lost = 0
        """How many frees failed."""
        self.memory: dict[int, Any] = {}
        self.pinned: set[int] = set()
        self.streams: dict[int, list[Work]] = {}
        self.capturing: dict[int, list[Work]] = {}
        self.graphs: dict[int, list[Work]] = {}
        self.executables: dict[int, list[Work]] = {}
        self.contexts = 0
        self._threads: set[int] = set()
        self._next = 1000
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Callable[..., int]:
        if not name.startswith("cu"):
            raise AttributeError(name)
        snake = re.sub("(?=[A-Z])", "_", name.removeprefix("cu").removesuffix("_v2")).lower()
        work = getattr(self, snake)

        def call(*arguments: Any) -> int:
            with self._lock:
                free_of_context = name.startswith(("cuInit", "cuDevice", "cuCtx", "cuGetError"))
                assert free_of_context or threading.get_ident() in self._threads, name
                self.calls.append(name)
                if name in self.fail:
                    self.lost += "Free" in name or "Destroy" in name
                    return self.fail.pop(name)
                work(*arguments)
            return 0

        return call

    def count(self) -> Counter[str]:
        return Counter(self.calls)

    def at(self, address: int, size: int) -> Any:
        """The bytes there, which must lie inside one allocation."""
        for start, block in self.memory.items():
            if start <= address and address + size <= start + len(block):
                return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address))
        raise AssertionError(f"{size} bytes at {address} are not allocated")

    def queue(self, stream: int, work: Work) -> None:
        self.capturing.get(stream, self.streams[stream]).append(work)

    def _number(self) -> int:
        self._next += 1
        return self._next

    def _init(self, flags: Any) -> None: ...

    def _device_get_count(self, count: Any) -> None:
        count._obj.value = 1

    def _device_get(self, device: Any, number: Any) -> None:
        device._obj.value = number.value

    def _device_get_attribute(self, value: Any, attribute: Any, device: Any) -> None:
        value._obj.value = {75: 8, 76: 9}[attribute.value]

    def _device_primary_ctx_retain(self, context: Any, device: Any) -> None:
        self.contexts += 1
        context._obj.value = 77

    def _device_primary_ctx_release(self, device: Any) -> None:
        self.contexts -= 1
        if self.contexts == 0:
            left = len(self.memory) + len(self.streams) + len(self.executables) + len(self.graphs)
            assert left == self.lost

    def _ctx_set_current(self, context: Any) -> None:
        self._threads.add(threading.get_ident())

    def _mem_alloc(self, address: Any, size: Any) -> None:
        block = (ctypes.c_uint8 * size.value)(*([0xEE] * min(size.value, 16)))
        address._obj.value = ctypes.addressof(block)
        self.memory[address._obj.value] = block

    def _mem_alloc_host(self, address: Any, size: Any) -> None:
        self._mem_alloc(address, size)
        self.pinned.add(address._obj.value)

    def _mem_free(self, address: Any) -> None:
        assert address.value not in self.pinned
        assert not any(self.streams.values()), "freed while work was queued"
        del self.memory[address.value]

    def _mem_free_host(self, address: Any) -> None:
        self.pinned.remove(address.value)
        self._mem_free(address)

    def _stream_create(self, stream: Any, flags: Any) -> None:
        assert flags.value == 1
        stream._obj.value = self._number()
        self.streams[stream._obj.value] = []

    def _stream_destroy(self, stream: Any) -> None:
        assert self.streams.pop(stream.value) == []

    def _stream_synchronize(self, stream: Any) -> None:
        assert stream.value not in self.capturing
        pending = self.streams[stream.value]
        while pending:
            pending.pop(0)()

    def _copy(self, target: Any, source: Any, size: Any, stream: Any, pinned: Any) -> None:
        assert pinned.value in self.pinned, "only pinned memory is copied without a detour"
        to, of = self.at(target.value, size.value), self.at(source.value, size.value)
        self.queue(stream.value, lambda: np.copyto(to, of))

    def _memcpy_hto_d_async(self, target: Any, source: Any, size: Any, stream: Any) -> None:
        self._copy(target, source, size, stream, source)

    def _memcpy_dto_h_async(self, target: Any, source: Any, size: Any, stream: Any) -> None:
        self._copy(target, source, size, stream, target)

    def _stream_begin_capture(self, stream: Any, mode: Any) -> None:
        assert self.streams[stream.value] == []
        assert mode.value == 1
        self.capturing[stream.value] = []

    def _stream_end_capture(self, stream: Any, graph: Any) -> None:
        graph._obj.value = self._number()
        self.graphs[graph._obj.value] = self.capturing.pop(stream.value)

    def _graph_instantiate_with_flags(self, runnable: Any, graph: Any, flags: Any) -> None:
        runnable._obj.value = self._number()
        self.executables[runnable._obj.value] = list(self.graphs[graph.value])

    def _graph_destroy(self, graph: Any) -> None:
        del self.graphs[graph.value]

    def _graph_exec_destroy(self, graph: Any) -> None:
        del self.executables[graph.value]

    def _graph_launch(self, graph: Any, stream: Any) -> None:
        self.streams[stream.value].extend(self.executables[graph.value])

    def cuGetErrorName(self, code: Any, text: Any) -> int:  # noqa: N802 - the driver's name
        text._obj.value = b"CUDA_ERROR_OF_A_TEST"
        return 0


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """The driver that this process finds: one GPU of compute capability 8.9."""
    fake = FakeDriver()
    monkeypatch.setattr(tensorrt_cuda, "_load", lambda: fake)
    return fake
