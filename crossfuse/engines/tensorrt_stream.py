"""What is taken from a GPU: memory, and streams of work with their graphs and events.

It is freed by `free`, never by chance: memory that a running copy still uses must not go away with
a Python object.
"""

from __future__ import annotations

import ctypes
import logging
from collections.abc import Callable
from ctypes import byref, c_float, c_int, c_size_t, c_uint, c_ulonglong, c_void_p
from typing import Any

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.errors import EngineError

log = logging.getLogger(__name__)

Call = Callable[..., None]
"""Calls a function of the driver by its name and raises what it answers."""

_CAPTURE_OF_THIS_THREAD = 1
_AS_A_NODE = 1


class DeviceMemory:
    """Bytes on the GPU, at a fixed address."""

    def __init__(self, call: Call, address: int) -> None:
        self._call = call
        self.address = address

    def free(self) -> None:
        """Give them back."""
        give_back(self._call, "cuMemFree_v2", c_ulonglong(self.address))


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
        give_back(self._call, "cuMemFreeHost", c_void_p(self.address))


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
        give_back(self._call, "cuStreamDestroy_v2", self._handle)


class Graph:
    """Recorded work that is started in one go."""

    def __init__(self, call: Call, handle: c_void_p) -> None:
        self._call = call
        self.handle = handle

    def free(self) -> None:
        """Give it back."""
        give_back(self._call, "cuGraphExecDestroy", self.handle)


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
        give_back(self._call, "cuEventDestroy_v2", self.handle)


def give_back(call: Call, name: str, handle: Any) -> None:
    """Give something back. On a device that was lost this fails, and then it is gone already."""
    try:
        call(name, handle)
    except EngineError as error:
        log.warning("while freeing: %s", str(error))
