"""Energy of calls on a GPU: what its board used while they ran one after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crossfuse.engines.tensorrt_cuda import Cuda
from crossfuse.errors import EngineError
from crossfuse_bench.device.nvml import Nvml, NvmlUnavailable

SAMPLE_SECONDS = 0.02
COUNTER = "NVML's energy counter of the board"
SAMPLES = f"NVML's power of the board, read every {1e3 * SAMPLE_SECONDS:.0f} ms and added up"


@dataclass(frozen=True)
class Energy:
    """What some calls took; or nothing, and why."""

    joules: float = 0.0
    seconds: float = 0.0
    pairs: int = 0
    how: str = ""
    missing: str = ""


def measured_energy(call: Callable[[], int], seconds: float) -> Energy:
    """Of calls for so many seconds on the first GPU; each call returns how many pairs it fused."""
    try:
        gpu = Nvml(_bus())
    except (NvmlUnavailable, EngineError) as error:
        return Energy(missing=f"not measured: {error}")
    try:
        return _counted(gpu, call, seconds)
    except NvmlUnavailable as error:
        return Energy(missing=f"not measured: {error}")
    finally:
        gpu.close()


def gpu_identity() -> str:
    """Name, driver and clock of the first GPU, or why they are not known."""
    try:
        gpu = Nvml(_bus())
    except (NvmlUnavailable, EngineError) as error:
        return f"present, not known which: {error}"
    try:
        return gpu.identity()
    except NvmlUnavailable as error:
        return f"present, not known which: {error}"
    finally:
        gpu.close()


def energy_field(measured: Sequence[Energy]) -> dict[str, Any]:
    """The value of a row, of all processes that measured it."""
    found = [each for each in measured if not each.missing]
    pairs = sum(each.pairs for each in found)
    if not pairs:
        return {"joules_per_pair": None, "reason": measured[0].missing}
    joules, seconds = (sum(getattr(each, name) for each in found) for name in ("joules", "seconds"))
    return {
        "joules_per_pair": joules / pairs,
        "watts": joules / seconds,
        "seconds": seconds,
        "pairs": pairs,
        "how": found[0].how,
    }


def _counted(gpu: Nvml, call: Callable[[], int], seconds: float) -> Energy:
    before = gpu.joules()
    samples = None if before is not None else _Samples(gpu)
    begun, pairs = time.perf_counter(), 0
    try:
        while time.perf_counter() < begun + seconds:
            pairs += call()
    finally:
        spent = time.perf_counter() - begun
        joules = samples.joules() if samples is not None else None
    if samples is None:
        joules = (gpu.joules() or 0.0) - (before or 0.0)
    if not joules or joules < 0:
        return Energy(missing="not measured: the board's energy did not change meanwhile")
    return Energy(joules, spent, pairs, SAMPLES if samples is not None else COUNTER)


class _Samples:
    """Reads the power until it is asked for the sum."""

    def __init__(self, gpu: Nvml) -> None:
        self._gpu = gpu
        self._read: list[tuple[float, float]] = []
        self._failure: NvmlUnavailable | None = None
        self._sample()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def joules(self) -> float:
        """From the first reading to now."""
        self._end.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        self._sample()
        times, watts = zip(*self._read, strict=True)
        return float(np.trapezoid(watts, times))

    def _run(self) -> None:
        try:
            while not self._end.wait(SAMPLE_SECONDS):
                self._sample()
        except NvmlUnavailable as error:
            self._failure = error

    def _sample(self) -> None:
        self._read.append((time.perf_counter(), self._gpu.watts()))


def _bus() -> str:
    cuda = Cuda(0)
    try:
        return cuda.bus
    finally:
        cuda.close()
