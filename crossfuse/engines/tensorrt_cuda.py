"""CUDA as far as an engine needs it, through the driver's own library; nothing to install for it.

`Cuda` is one GPU of this process.
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from typing import Any

from crossfuse.engines.tensorrt_stream import (
    DeviceMemory,
    Event,
    PinnedMemory,
    Stream,
    give_back,
)
from crossfuse.errors import DeviceLost, EngineError, OutOfMemory, ProviderUnavailable

LIBRARY = "libcuda.so.1"
_OUT_OF_MEMORY = 2
_LOST = {214, 220, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 999}
_CAPABILITY_MAJOR, _CAPABILITY_MINOR = 75, 76
_NON_BLOCKING = 1


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
        give_back(self._call, "cuDevicePrimaryCtxRelease_v2", self._device)

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
