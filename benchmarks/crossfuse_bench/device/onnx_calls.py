"""Calls of a session of onnxruntime that works on a stream of ours, between events of ours.

The session gets a stream and buffers at fixed addresses, which the CUDA graphs of its providers
need too. The engine's own calls copy with onnxruntime's functions, which queue where no event of
ours can be: these calls copy through page-locked memory instead, and the report says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.bundles import ModelFile
from crossfuse.engines.onnx import OnnxEngine
from crossfuse.engines.onnx_tensorrt import ProfiledOnnxEngine, provider_options
from crossfuse.engines.phase_clock import END, PhaseClock
from crossfuse.engines.tensorrt_cuda import Cuda
from crossfuse.engines.tensorrt_profiles import ONE_PROFILE
from crossfuse.engines.tensorrt_store import engines_folder
from crossfuse.engines.tensorrt_stream import DeviceMemory, PinnedMemory
from crossfuse.errors import InvalidInput
from crossfuse_bench.device.calls import DeviceCalls

GRAPH_OPTIONS = {
    "cuda": {"enable_cuda_graph": "1"},
    "tensorrt": {"trt_cuda_graph_enable": "True"},
}

Shape3 = tuple[int, int, int]


class OnnxCalls(DeviceCalls):
    """The CUDA or the TensorRT provider on the first GPU, for pictures of one shape [B,H,W]."""

    def __init__(
        self, model: ModelFile, device: str, shape: Shape3, *, threads: int, graphs: bool
    ) -> None:
        if device == "tensorrt" and ONE_PROFILE.nearest(shape) != shape:
            raise InvalidInput("shape", f"{shape}, which runs in parts or padded", str(ONE_PROFILE))
        self._shapes = {"ir": shape, "vis": (*shape, 3), "fused": (*shape, 3)}
        self._cuda = Cuda(0)
        self._stream = self._cuda.stream()
        self._clock = PhaseClock(self._cuda)
        self._host: dict[str, PinnedMemory] = {}
        self._memory: dict[str, DeviceMemory] = {}
        self._engine: OnnxEngine | None = None
        try:
            options = {"user_compute_stream": str(self._stream.number)}
            if graphs:
                options |= GRAPH_OPTIONS[device]
            self._engine = self._opened(model, device, threads, options)
            self._session: Any = self._engine.session
            self._binding = self._bound()
        except BaseException:
            self.close()
            raise

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """Fuse ir [B,H,W] and vis [B,H,W,3] RGB, both uint8, into uint8 [B,H,W,3] RGB."""
        if vis.shape != self._shapes["vis"]:
            raise InvalidInput("vis", str(vis.shape), f"{self._shapes['vis']}, as it was opened")
        self._cuda.use()
        self._view("ir")[...], self._view("vis")[...] = ir, vis
        self._clock.mark(self._stream, "upload")
        for name in ("ir", "vis"):
            self._stream.upload(self._memory[name], self._host[name], self._size(name))
        self._clock.mark(self._stream, "compute")
        self._session.run_with_iobinding(self._binding)
        self._clock.mark(self._stream, "download")
        self._stream.download(self._host["fused"], self._memory["fused"], self._size("fused"))
        self._clock.mark(self._stream, END)
        self._stream.synchronize()
        return np.array(self._view("fused"))

    def phases(self) -> dict[str, float]:
        """Of the last call."""
        self._clock.note()
        return self._clock.taken()

    def describe(self) -> dict[str, Any]:
        """As the engine says."""
        assert self._engine is not None
        return dict(vars(self._engine.describe()))

    def close(self) -> None:
        """The session first: it works on the stream."""
        if self._engine is not None:
            self._session = self._binding = None
            self._engine.close()
        for pinned in self._host.values():
            pinned.free()
        for memory in self._memory.values():
            memory.free()
        self._clock.free()
        self._stream.free()
        self._cuda.close()

    def _opened(
        self, model: ModelFile, device: str, threads: int, options: Mapping[str, str]
    ) -> OnnxEngine:
        if device == "cuda":
            return OnnxEngine(model, device=device, threads=threads, provider_options=options)
        own = provider_options(model, self._cuda.capability, engines_folder())
        return ProfiledOnnxEngine(model, threads=threads, provider_options={**own, **options})

    def _bound(self) -> Any:
        binding = self._session.io_binding()
        for name, shape in self._shapes.items():
            self._host[name] = self._cuda.pinned_memory(self._size(name))
            self._memory[name] = self._cuda.device_memory(self._size(name))
            bind = binding.bind_output if name == "fused" else binding.bind_input
            bind(name, "cuda", 0, np.uint8, list(shape), self._memory[name].address)
        return binding

    def _view(self, name: str) -> UInt8Array:
        return self._host[name].array.reshape(self._shapes[name])

    def _size(self, name: str) -> int:
        return math.prod(self._shapes[name])
