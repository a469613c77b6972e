"""Calls of a network on PyTorch between events of PyTorch, eager, compiled or as one CUDA graph."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

import numpy as np

from crossfuse.arrays import UInt8Array
from crossfuse.engines.phase_clock import PHASES
from crossfuse.errors import MissingDependency
from crossfuse_bench.device.calls import DeviceCalls
from crossfuse_bench.rivals import TORCH_RIVALS

SETTLING_CALLS = 3
"""Before a graph is recorded, so that what is chosen or allocated at first is not part of it."""

Shape3 = tuple[int, int, int]


class TorchCalls(DeviceCalls):
    """A rival on a GPU, for pictures of one shape [B,H,W]; fp16 is PyTorch's autocast."""

    def __init__(
        self,
        rival: str,
        shape: Shape3,
        *,
        threads: int,
        half: bool,
        graphs: bool,
        device: str = "cuda",
    ) -> None:
        if importlib.util.find_spec("torch") is None:
            raise MissingDependency("torch", f"the rival {rival}", "train")
        # By name: this package must be usable without torch.
        self._torch: Any = importlib.import_module("torch")
        engines: Any = importlib.import_module("crossfuse_training.engines")
        engine = engines.load_torch_engine(
            rival, TORCH_RIVALS[rival], device=device, threads=threads
        )
        self._network = engine.graph
        self._device, self._half, self._graphs = device, half, graphs
        self._description = vars(engine.describe()) | {
            "provider": f"PyTorch on {device}, {engine.provider}",
            "precision": "fp16 (autocast)" if half else "fp32",
        }
        # The report calls a rival by its own name.
        del self._description["name"]
        self._inputs = [
            self._torch.zeros(form, dtype=self._torch.uint8, device=device)
            for form in (shape, (*shape, 3))
        ]
        self._events = [self._torch.cuda.Event(enable_timing=True) for _ in range(len(PHASES) + 1)]
        self._graph: Any = None
        if graphs:
            self._record()

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """Fuse ir [B,H,W] and vis [B,H,W,3] RGB, both uint8, into uint8 [B,H,W,3] RGB."""
        begin, uploaded, computed, end = self._events
        begin.record()
        for target, source in zip(self._inputs, (ir, vis), strict=True):
            target.copy_(self._torch.from_numpy(source))
        uploaded.record()
        if self._graph is None:
            fused = self._run()
        else:
            self._graph.replay()
            fused = self._output
        computed.record()
        result = np.asarray(fused.cpu().numpy(), np.uint8)
        end.record()
        end.synchronize()
        return result

    def phases(self) -> dict[str, float]:
        """Of the last call."""
        pairs = zip(self._events, self._events[1:], strict=False)
        return {
            name: float(begin.elapsed_time(end))
            for name, (begin, end) in zip(PHASES, pairs, strict=True)
        }

    def describe(self) -> dict[str, Any]:
        """What is loaded."""
        return dict(self._description)

    def close(self) -> None:
        """Let go of the graph before the memory it works on."""
        self._graph = self._output = None
        self._inputs = []

    def _run(self) -> Any:
        torch = self._torch
        # A cached copy of the weights would go with the context and leave a graph without them.
        autocast = torch.autocast(
            self._device, torch.float16, enabled=self._half, cache_enabled=not self._graphs
        )
        with torch.no_grad(), autocast:
            return self._network(*self._inputs)

    def _record(self) -> None:
        cuda = self._torch.cuda
        beside = cuda.Stream()
        beside.wait_stream(cuda.current_stream())
        with cuda.stream(beside):
            for _ in range(SETTLING_CALLS):
                self._run()
        cuda.current_stream().wait_stream(beside)
        graph = cuda.CUDAGraph()
        with cuda.graph(graph):
            self._output = self._run()
        self._graph = graph
