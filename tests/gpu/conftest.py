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
from crossfuse_bench.device import nvml

Work = Callable[[], None]

BYTES_PER_MS = 1000
BUS = "0000:3B:00.0"
BOARD_WATTS = 50
NOT_FOUND = 6


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
        self.events: dict[int, float | None] = {}
        """When each was passed, in ms; None before it was."""
        self.now = 0.0
        """The clock of the GPU, which only work moves."""
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

    def pass_time(self, milliseconds: float) -> None:
        """What queued work does beside its results."""
        self.now += milliseconds

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
            kinds = (self.memory, self.streams, self.executables, self.graphs, self.events)
            assert sum(map(len, kinds)) == self.lost

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
        self.queue(stream.value, lambda: self.pass_time(size.value / BYTES_PER_MS))

    def _memcpy_hto_d_async(self, target: Any, source: Any, size: Any, stream: Any) -> None:
        self._copy(target, source, size, stream, source)

    def _memcpy_dto_h_async(self, target: Any, source: Any, size: Any, stream: Any) -> None:
        self._copy(target, source, size, stream, target)

    def _device_get_p_c_i_bus_id(self, text: Any, length: Any, device: Any) -> None:
        assert length.value > len(BUS)
        text.value = BUS.encode()

    def _event_create(self, event: Any, flags: Any) -> None:
        assert flags.value == 0, "one without a clock cannot be asked for times"
        event._obj.value = self._number()
        self.events[event._obj.value] = None

    def _event_record_with_flags(self, event: Any, stream: Any, flags: Any) -> None:
        # What is recorded otherwise while capturing is no node, and has no time.
        assert flags.value == (stream.value in self.capturing)
        self.queue(stream.value, lambda: self.events.update({event.value: self.now}))

    def _event_elapsed_time(self, milliseconds: Any, first: Any, second: Any) -> None:
        begin, end = self.events[first.value], self.events[second.value]
        assert begin is not None
        assert end is not None
        milliseconds._obj.value = end - begin

    def _event_destroy(self, event: Any) -> None:
        assert not any(self.streams.values()), "freed while work was queued"
        del self.events[event.value]

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


class FakeNvml:
    """`libnvidia-ml` with one board, whose counter the work of the fake driver moves."""

    def __init__(self, driver: FakeDriver) -> None:
        self._driver = driver
        self.millijoules = 10**6
        self.milliwatts = 40_000
        self.fail: dict[str, int] = {}
        self.open = 0

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("nvml"):
            raise AttributeError(name)
        work = getattr(self, f"_{name.removeprefix('nvml')}")

        def call(*arguments: Any) -> int:
            assert name == "nvmlInit_v2" or self.open, "not initialised"
            return self.fail.get(name) or work(*arguments) or 0

        return call

    def _Init_v2(self) -> None:  # noqa: N802 - the library's name
        self.open += 1

    def _Shutdown(self) -> None:  # noqa: N802 - the library's name
        self.open -= 1

    def _DeviceGetHandleByPciBusId_v2(self, bus: Any, handle: Any) -> int:  # noqa: N802
        handle._obj.value = 5
        return 0 if bus.value.decode() == BUS else NOT_FOUND

    def _DeviceGetTotalEnergyConsumption(self, handle: Any, found: Any) -> None:  # noqa: N802
        assert handle.value == 5
        found._obj.value = self.millijoules + round(BOARD_WATTS * self._driver.now)

    def _DeviceGetPowerUsage(self, handle: Any, found: Any) -> None:  # noqa: N802
        assert handle.value == 5
        found._obj.value = self.milliwatts

    def _DeviceGetName(self, handle: Any, text: Any, length: Any) -> None:  # noqa: N802
        text.value = b"A board"

    def _SystemGetDriverVersion(self, text: Any, length: Any) -> None:  # noqa: N802
        text.value = b"580.1"

    def _DeviceGetClockInfo(self, handle: Any, kind: Any, found: Any) -> None:  # noqa: N802
        found._obj.value = 1200

    def _DeviceGetMaxClockInfo(self, handle: Any, kind: Any, found: Any) -> None:  # noqa: N802
        found._obj.value = 1980


@pytest.fixture
def board(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> FakeNvml:
    """The board at the address that the fake driver's GPU has."""
    fake = FakeNvml(driver)
    monkeypatch.setattr(nvml, "_load", lambda: fake)
    return fake
