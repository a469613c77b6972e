"""Two models timed side by side, so that a busy machine slows both alike."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass

import numpy as np
import onnxruntime

from crossfuse import synthetic
from crossfuse_export.quality import Runner, onnx_runner

SIZE = (480, 640)
ROUNDS = 30
WARM_UP = 2


@dataclass(frozen=True)
class Comparison:
    """Median milliseconds of each, and the median of the ratios of the rounds."""

    first_ms: float
    second_ms: float
    ratio: float
    """How many times faster the second is."""
    conditions: str


def side_by_side(first: bytes, second: bytes, *, size: tuple[int, int] = SIZE) -> Comparison:
    """Time two ONNX models in turns on one thread; `size` is (height, width)."""
    height, width = size
    ir, vis = (image[None] for image in synthetic.pair(1, height, width))
    runners = [onnx_runner(model) for model in (first, second)]

    def seconds(run: Runner) -> float:
        started = time.perf_counter()
        run(ir, vis)
        return time.perf_counter() - started

    rounds = np.array([[seconds(run) for run in runners] for _ in range(WARM_UP + ROUNDS)])
    measured = rounds[WARM_UP:]
    first_ms, second_ms = (float(value) for value in np.median(measured, axis=0) * 1e3)
    return Comparison(
        first_ms,
        second_ms,
        ratio=float(np.median(measured[:, 0] / measured[:, 1])),
        conditions=f"{height}x{width}, one thread, {platform.machine()}, "
        f"onnxruntime {onnxruntime.__version__}, medians of {ROUNDS} rounds in turns",
    )
