"""CUDA as far as an engine needs it, through the driver's own library; nothing to install for it.

`Cuda` is one GPU of this process. What it hands out is freed by `free` or `close`, never by chance:
memory that a running copy still uses must not go away with a Python object.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from ctypes import byref, c_float, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from typing import Any

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.errors import DeviceLost, EngineError, OutOfMemory, ProviderUnavailable

log = logging.getLogger(__name__)

Call = Callable[..., None]
"""Calls a function of the driver by its name and raises what it answers."""

LIBRARY = "libcuda.so.1"
_OUT_OF_MEMORY = 2
_LOST = {214, 220, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999}
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_NON_BLOCKING = 1
_CAPTURE_OF_THIS_THREAD = 1
_AS_A_NODE = 1


class Cuda:
    """One GPU; calls may come from any thread once it called `use`."""

    def __init__(self, device_id: int) -> None:
        self._library: Any = _load()
        self._call("cuInit", c_uint(0))
        count = c_int()
        self._call("cuDeviceGetCount", byref(count))
        if not 0 <= device_id < count.value:
            raise ProviderUnavailable(
                f"device: got number {device_id}; valid: {count.value} CUDA devices, from 0"
            )
        self._device = c_int()
        self._call("cuDeviceGet", byref(self._device), c_int(device_id))
        self._context = c_void_p()
        # The context that TensorRT's own CUDA runtime uses too.
        self._call("cuDevicePrimaryCtxRetain", byref(self._context), self._device)
        self.use()

    def use(self) -> None:
        """Make this GPU the calling thread's."""
        self._call("cuCtxSetCurrent", self._context)

    def close(self) -> None:
        """Let go of the GPU; everything taken from it is freed before."""
        _free(self._call, "cuDevicePrimaryCtxRelease_v2", self._device)

    @property
    def capability(self) -> str:
        """Compute capability, such as 8.9."""
        numbers = []
        for attribute in (_CAPABILITY_MAJOR, _CAPABILITY_MINOR):
            value = c_int()
            self._call("cuDeviceGetAttribute", byref(value), c_int(attribute), self._device)
            numbers.append(str(value.value))
        return ".".join(numbers)

    @property
    def bus(self) -> str:
        """Its address, such as 0000:3B:00.0, by which the driver's other parts know it."""
        text = ctypes.create_string_buffer(64)
        self._call("cuDeviceGetPCIBusId", text, c_int(len(text)), self._device)
        return text.value.decode()

    def device_memory(self, size: int) -> DeviceMemory:
        """Memory on the GPU; at least one byte, as CUDA gives none for nothing."""
        address = c_ulonglong()
        self._call("cuMemAlloc_v2", byref(address), c_size_t(max(1, size)))
        return DeviceMemory(self._call, address.value)

    def pinned_memory(self, size: int) -> PinnedMemory:
        """Memory of the host that the GPU copies from and to without a detour."""
        address = c_void_p()
        self._call("cuMemAllocHost_v2", byref(address), c_size_t(max(1, size)))
        return PinnedMemory(self._call, address.value or 0, size)

    def stream(self) -> Stream:
        """A queue of work that runs beside other streams."""
        handle = c_void_p()
        self._call("cuStreamCreate", byref(handle), c_uint(_NON_BLOCKING))
        return Stream(self._call, handle)

    def event(self) -> Event:
        """A note of when a stream came to a place."""
        handle = c_void_p()
        self._call("cuEventCreate", byref(handle), c_uint(0))
        return Event(self._call, handle)

    def _call(self, name: str, *arguments: Any) -> None:
        code = getattr(self._library, name)(*arguments)
        if code != 0:
            raise _typed(self._library, name, code)


class DeviceMemory:
    """Bytes on the GPU, at a fixed address."""

    def __init__(self, call: Call, address: int) -> None:
        self._call = call
        self.address = address

    def free(self) -> None:
        """Give them back."""
        _free(self._call, "cuMemFree_v2", c_ulonglong(self.address))


class PinnedMemory:
    """Page-locked bytes of the host, at a fixed address; `array` is a view of them."""

    def __init__(self, call: Call, address: int, size: int) -> None:
        self._call = call
        self.address = address
        self.array: UInt8Array = np.ctypeslib.as_array(
            (ctypes.c_uint8 * size).from_address(address)
        )

    def free(self) -> None:
        """Give them back; the view must not be used afterwards."""
        _free(self._call, "cuMemFreeHost", c_void_p(self.address))


class Stream:
    """A queue of copies and kernels."""

    def __init__(self, call: Call, handle: c_void_p) -> None:
        self._call = call
        self._handle = handle
        self._capturing = False

    @property
    def number(self) -> int:
        """The handle, as TensorRT takes it."""
        return self._handle.value or 0

    def upload(self, target: DeviceMemory, source: PinnedMemory, size: int) -> None:
        """Queue a copy to the GPU."""
        self._call(
            "cuMemcpyHtoDAsync_v2",
            c_ulonglong(target.address), c_void_p(source.address), c_size_t(size), self._handle,
        )  # fmt: skip

    def download(self, target: PinnedMemory, source: DeviceMemory, size: int) -> None:
        """Queue a copy from the GPU."""
        self._call(
            "cuMemcpyDtoHAsync_v2",
            c_void_p(target.address), c_ulonglong(source.address), c_size_t(size), self._handle,
        )  # fmt: skip

    def record(self, event: Event) -> None:
        """Queue a note of the time; one that is captured is taken each time its graph runs."""
        # Without the flag a captured event is an order of kernels, which has no time.
        flag = c_uint(_AS_A_NODE if self._capturing else 0)
        self._call("cuEventRecordWithFlags", event.handle, self._handle, flag)

    def synchronize(self) -> None:
        """Wait until everything queued is done."""
        self._call("cuStreamSynchronize", self._handle)

    def capture(self, work: Callable[[], None]) -> Graph:
        """Record what `work` queues, without running it, as one graph."""
        self._call("cuStreamBeginCapture_v2", self._handle, c_int(_CAPTURE_OF_THIS_THREAD))
        graph = c_void_p()
        self._capturing = True
        try:
            work()
        except BaseException:
            # A stream is of no use to anybody until its capture has ended.
            if self._quietly("cuStreamEndCapture", byref(graph)) and graph.value:
                self._call("cuGraphDestroy", graph)
            raise
        finally:
            self._capturing = False
        self._call("cuStreamEndCapture", self._handle, byref(graph))
        runnable = c_void_p()
        try:
            self._call("cuGraphInstantiateWithFlags", byref(runnable), graph, c_ulonglong(0))
        finally:
            self._call("cuGraphDestroy", graph)
        return Graph(self._call, runnable)

    def _quietly(self, name: str, *arguments: Any) -> bool:
        try:
            self._call(name, self._handle, *arguments)
        except EngineError:
            return False
        return True

    def launch(self, graph: Graph) -> None:
        """Queue everything that a graph recorded."""
        self._call("cuGraphLaunch", graph.handle, self._handle)

    def free(self) -> None:
        """Give it back."""
        _free(self._call, "cuStreamDestroy_v2", self._handle)


class Graph:
    """Recorded work that is started in one go."""

    def __init__(self, call: Call, handle: c_void_p) -> None:
        self._call = call
        self.handle = handle

    def free(self) -> None:
        """Give it back."""
        _free(self._call, "cuGraphExecDestroy", self.handle)


class Event:
    """When a stream came to a place, by the clock of the GPU."""

    def __init__(self, call: Call, handle: c_void_p) -> None:
        self._call = call
        self.handle = handle

    def since(self, earlier: Event) -> float:
        """Milliseconds between two that were passed."""
        elapsed = c_float()
        self._call("cuEventElapsedTime", byref(elapsed), earlier.handle, self.handle)
        return elapsed.value

    def free(self) -> None:
        """Give it back."""
        _free(self._call, "cuEventDestroy_v2", self.handle)


def _free(call: Call, name: str, handle: Any) -> None:
    """Give something back. On a device that was lost this fails, and then it is gone already."""
    try:
        call(name, handle)
    except EngineError as error:
        log.warning("while freeing: %s", str(error))


def _load() -> Any:
    try:
        return ctypes.CDLL(LIBRARY)
    except OSError as error:
        raise ProviderUnavailable(
            f"no NVIDIA driver on this machine: {LIBRARY} cannot be loaded"
        ) from error


def _typed(library: Any, name: str, code: int) -> EngineError:
    text = ctypes.c_char_p()
    library.cuGetErrorName(c_int(code), byref(text))
    what = f"CUDA failure {code} ({(text.value or b'unknown').decode()}) in {name}"
    if name in ("cuInit", "cuDeviceGetCount"):
        return ProviderUnavailable(f"the NVIDIA driver cannot be used: {what}")
    if code == _OUT_OF_MEMORY:
        return OutOfMemory(f"the device has no memory left: {what}")
    if code in _LOST:
        return DeviceLost(f"the device was lost and the model must be loaded again: {what}")
    return EngineError(f"the model could not be run: {what}")
