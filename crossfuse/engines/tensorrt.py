"""The engine over TensorRT itself: an engine file that `crossfuse export tensorrt` built."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from crossfuse.arrays import UInt8Array
from crossfuse.bundles import ModelFile
from crossfuse.engines.base import Engine, EngineDescription
from crossfuse.engines.phase_clock import PhaseClock
from crossfuse.engines.tensorrt_api import Complaints, ICudaEngine, TensorRT, made
from crossfuse.engines.tensorrt_cuda import Cuda
from crossfuse.engines.tensorrt_lane import Lane
from crossfuse.engines.tensorrt_profiles import Profile, fit, joined, nearest
from crossfuse.engines.tensorrt_store import StoredEngine
from crossfuse.errors import BundleError, EngineError, OutOfMemory

log = logging.getLogger(__name__)

LANES = 2
"""Streams that run at once; the second is made when a call meets the first one busy."""


class TensorRTEngine(Engine):
    """Runs one TensorRT engine on one GPU, on as many streams as calls come at once."""

    def __init__(
        self,
        model: ModelFile,
        stored: StoredEngine,
        trt: TensorRT,
        cuda: Cuda,
        *,
        device_id: int = 0,
        lanes: int = LANES,
        pad: bool = False,
    ) -> None:
        """`pad`: mirror a smaller picture up to the next profile instead of refusing it."""
        self._trt, self._cuda, self._pad = trt, cuda, pad
        cuda.use()
        self._complaints = Complaints(trt)
        self._runtime = made(trt.Runtime, self._complaints, "runtime")
        engine = self._runtime.deserialize_cuda_engine(stored.read())
        if engine is None:
            raise BundleError(
                f"{stored.plan}: TensorRT cannot load it: {self._complaints.taken()}; "
                "export the engine again"
            )
        self._engine = engine
        _check_tensors(trt, engine, str(stored.plan))
        self.profiles = _profiles_of(engine)
        self._pixels = max(profile.pixels for profile in self.profiles)
        self._free_lanes = threading.Condition()
        self._idle = [self._new_lane()]
        self._made, self._most = 1, lanes
        self._closed = False
        self._description = EngineDescription(
            name=model.name,
            version=model.version,
            precision=model.precision,
            sha256=stored.key.onnx_sha256,
            device=f"tensorrt:{device_id}",
            provider=f"TensorRT engine {stored.key.digest}",
            runtime=f"{stored.key.platform.flavour} {trt.__version__}",
            threads=1,
            minimum_size=model.minimum_size,
        )

    def fuse(self, ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
        """Fuse ir [B,H,W] and vis [B,H,W,3] RGB, both uint8, into uint8 [B,H,W,3] RGB."""
        parts = fit(self.profiles, ir, vis, pad=self._pad)
        self._cuda.use()
        with self._lane() as lane:
            fused = [lane.run(part.ir, part.vis, part.profile) for part in parts]
        return joined(fused, ir)

    def describe(self) -> EngineDescription:
        """What is loaded, and on what."""
        return self._description

    def warm_up(self, height: int, width: int, batch: int = 1) -> None:
        """Run the nearest size that the engine takes, in a batch of that many."""
        _, height, width = nearest(self.profiles, (batch, height, width))
        super().warm_up(height, width, batch)

    def clocked(self, *, graphs: bool) -> PhaseClock:
        """A clock of the calls to come, which run on one stream, with CUDA graphs or without.

        For measurements: before the first call, by the only thread that calls.
        """
        (lane,) = self._idle
        self._most = self._made
        lane.records = graphs
        lane.clock = PhaseClock(self._cuda)
        return lane.clock

    def graph_refusals(self) -> list[str]:
        """Why shapes have no CUDA graph; empty where all that ran have one."""
        with self._free_lanes:
            return [reason for lane in self._idle for reason in lane.refusals]

    def close(self) -> None:
        """Wait for the calls that run, then free everything."""
        with self._free_lanes:
            if self._closed:
                return
            self._closed = True
            self._free_lanes.notify_all()
            self._free_lanes.wait_for(lambda: len(self._idle) == self._made)
        self._cuda.use()
        while self._idle:
            self._idle.pop().close()
        # Before the context of the GPU that they live in.
        del self._engine, self._runtime
        self._cuda.close()

    def _new_lane(self) -> Lane:
        return Lane(self._cuda, self._trt, self._engine, self._pixels, self._complaints)

    @contextmanager
    def _lane(self) -> Iterator[Lane]:
        lane = self._take_lane()
        try:
            yield lane
        finally:
            self._give_back(lane)

    def _give_back(self, lane: Lane) -> None:
        with self._free_lanes:
            # The last one used is the next one: its shapes are the ones that are ready.
            self._idle.append(lane)
            self._free_lanes.notify_all()

    def _take_lane(self) -> Lane:
        with self._free_lanes:
            while True:
                self._free_lanes.wait_for(
                    lambda: self._closed or self._idle or self._made < self._most
                )
                if self._closed:
                    raise EngineError("the engine is closed")
                if self._idle:
                    return self._idle.pop()
                try:
                    lane = self._new_lane()
                except OutOfMemory as error:
                    # The lanes that are there still serve everybody, one call after the other.
                    log.warning("no room for another stream: %s", str(error))
                    self._most = self._made
                else:
                    self._made += 1
                    return lane


def _check_tensors(trt: TensorRT, engine: ICudaEngine, source: str) -> None:
    """Refuse an engine that does not keep the graph contract."""
    directions = {"ir": trt.TensorIOMode.INPUT, "vis": trt.TensorIOMode.INPUT}
    directions["fused"] = trt.TensorIOMode.OUTPUT
    names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
    kept = sorted(names) == sorted(directions) and all(
        engine.get_tensor_mode(name) == directions[name]
        and engine.get_tensor_dtype(name) == trt.DataType.UINT8
        and len(engine.get_tensor_shape(name)) == (3 if name == "ir" else 4)
        for name in names
    )
    if not kept:
        raise BundleError(
            f"{source}: got the tensors {', '.join(names)}; valid: inputs ir [B,H,W] and vis "
            "[B,H,W,3], output fused [B,H,W,3], all uint8"
        )


def _profiles_of(engine: ICudaEngine) -> tuple[Profile, ...]:
    """The profiles that the engine itself says it has."""
    profiles = []
    for number in range(engine.num_optimization_profiles):
        shapes = engine.get_tensor_profile_shape("ir", number)
        least, usual, largest = ((shape[0], shape[1], shape[2]) for shape in shapes)
        profiles.append(Profile(least, usual, largest))
    return tuple(profiles)
