"""A lane: one stream with buffers of its own, on which one call at a time runs.

Everything is allocated when the lane is made, as large as the largest profile needs; a call copies
into pinned memory, starts the work of its shape and waits. Each shape has an execution context, and
a CUDA graph of upload, network and download that is recorded after its first run: a graph belongs
to the state that its context had, so contexts are not shared between shapes. They share the
lane's scratch memory, because only one of them runs at a time.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.engines.phase_clock import END, PhaseClock
from crossfuse.engines.tensorrt_api import Complaints, ICudaEngine, IExecutionContext, TensorRT
from crossfuse.engines.tensorrt_cuda import Cuda
from crossfuse.engines.tensorrt_stream import DeviceMemory, Graph, PinnedMemory, Stream
from crossfuse.errors import DeviceLost, EngineError

log = logging.getLogger(__name__)

LARGEST_NUMBER_OF_SHAPES = 24
"""Shapes that a lane keeps ready; the one that was not used for longest goes. The default profiles
have 22."""
_BYTES_PER_PIXEL = {"ir": 1, "vis": 3, "fused": 3}

Shape3 = tuple[int, int, int]


@dataclass
class PreparedShape:
    """What runs one shape: its context, and its graph once that is recorded."""

    context: IExecutionContext
    graph: Graph | None = None
    tried: bool = False
    """Whether recording was tried; what cannot be recorded is queued anew each time."""


class Lane:
    """One stream of an engine. It is used by one thread at a time; its owner sees to that."""

    def __init__(
        self, cuda: Cuda, trt: TensorRT, engine: ICudaEngine, pixels: int, complaints: Complaints
    ) -> None:
        self._cuda, self._trt, self._engine, self._complaints = cuda, trt, engine, complaints
        self._shapes: OrderedDict[Shape3, PreparedShape] = OrderedDict()
        self._stream: Stream = cuda.stream()
        self._scratch_size = engine.device_memory_size_v2
        self._scratch: DeviceMemory | None = None
        self._host: dict[str, PinnedMemory] = {}
        self._device: dict[str, DeviceMemory] = {}
        self.clock: PhaseClock | None = None
        """Where one is set, it notes the phases of each call."""
        self.records = True
        """Whether graphs are recorded."""
        self.refusals: list[str] = []
        """Why graphs could not be recorded."""
        try:
            self._scratch = cuda.device_memory(self._scratch_size)
            for name, size in _BYTES_PER_PIXEL.items():
                self._host[name] = cuda.pinned_memory(pixels * size)
                self._device[name] = cuda.device_memory(pixels * size)
        except EngineError:
            self.close()
            raise

    def run(self, ir: UInt8Array, vis: UInt8Array, profile: int) -> UInt8Array:
        """Fuse ir [B,H,W] and vis [B,H,W,3], whose size the profile of that number takes."""
        batch, height, width = ir.shape
        shape = (batch, height, width)
        prepared = self._prepared(shape, profile)
        pixels = ir.size
        self._view("ir", shape)[...] = ir
        self._view("vis", (*shape, 3))[...] = vis
        try:
            if prepared.graph is not None:
                self._stream.launch(prepared.graph)
            else:
                self._queue(prepared.context, pixels)
            self._stream.synchronize()
            if self.clock is not None:
                self.clock.note()
        except EngineError:
            self._settle()
            raise
        fused = np.array(self._view("fused", (*shape, 3)))
        if self.records and not prepared.tried:
            self._record(prepared, pixels, shape)
        return fused

    def close(self) -> None:
        """Free everything; nothing runs on the lane any more."""
        while self._shapes:
            # A context goes before the memory that it points to.
            _, prepared = self._shapes.popitem()
            if prepared.graph is not None:
                prepared.graph.free()
            del prepared
        if self.clock is not None:
            self.clock.free()
        for pinned in self._host.values():
            pinned.free()
        for memory in self._device.values():
            memory.free()
        if self._scratch is not None:
            self._scratch.free()
        self._stream.free()

    def _view(self, name: str, shape: tuple[int, ...]) -> UInt8Array:
        size = int(np.prod(shape))
        return self._host[name].array[:size].reshape(shape)

    def _prepared(self, shape: Shape3, profile: int) -> PreparedShape:
        if shape in self._shapes:
            self._shapes.move_to_end(shape)
            return self._shapes[shape]
        if len(self._shapes) >= LARGEST_NUMBER_OF_SHAPES:
            _, oldest = self._shapes.popitem(last=False)
            if oldest.graph is not None:
                oldest.graph.free()
        prepared = PreparedShape(self._context(shape, profile))
        self._shapes[shape] = prepared
        return prepared

    def _context(self, shape: Shape3, profile: int) -> IExecutionContext:
        strategy = self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        context = self._engine.create_execution_context(strategy)
        if context is None:
            raise EngineError(f"no execution context: {self._complaints.taken()}")
        assert self._scratch is not None
        accepted = context.set_optimization_profile_async(profile, self._stream.number)
        self._stream.synchronize()
        context.set_device_memory(self._scratch.address, self._scratch_size)
        accepted &= context.set_input_shape("ir", shape)
        accepted &= context.set_input_shape("vis", (*shape, 3))
        for name, memory in self._device.items():
            accepted &= context.set_tensor_address(name, memory.address)
        missing = context.infer_shapes()
        if missing or not accepted:
            raise EngineError(
                f"TensorRT does not take the shape {shape} on profile {profile}: "
                f"{', '.join(missing) or self._complaints.taken()}"
            )
        return context

    def _queue(self, context: IExecutionContext, pixels: int) -> None:
        self._mark("upload")
        for name in ("ir", "vis"):
            size = pixels * _BYTES_PER_PIXEL[name]
            self._stream.upload(self._device[name], self._host[name], size)
        self._mark("compute")
        if not context.execute_async_v3(self._stream.number):
            raise EngineError(f"the model could not be run: {self._complaints.taken()}")
        self._mark("download")
        self._stream.download(
            self._host["fused"], self._device["fused"], pixels * _BYTES_PER_PIXEL["fused"]
        )
        self._mark(END)

    def _mark(self, phase: str) -> None:
        if self.clock is not None:
            self.clock.mark(self._stream, phase)

    def _record(self, prepared: PreparedShape, pixels: int, shape: Shape3) -> None:
        """Record the shape's graph; its first run has settled what TensorRT defers."""
        prepared.tried = True
        try:
            prepared.graph = self._stream.capture(lambda: self._queue(prepared.context, pixels))
        except DeviceLost:
            raise
        except EngineError as error:
            # As text: an error that a log keeps would keep the context too.
            log.warning("no CUDA graph for %s, each call queues anew: %s", shape, str(error))
            if str(error) not in self.refusals:  # shapes come and go for as long as a server runs
                self.refusals.append(str(error))

    def _settle(self) -> None:
        """After a failure: let what was queued end before anybody writes to the buffers again."""
        try:
            self._stream.synchronize()
        except EngineError as error:
            log.debug("while a failed call ended: %s", str(error))
