"""What stands beside a model in its own run: simple rules in OpenCV, and networks on PyTorch."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.arrays import UInt8Array
from crossfuse.errors import MissingDependency

TORCH_RIVALS = {"tile_loop": "crossfuse", "eager": "rt", "compiled": "rt"}
"""Engine and variant; fresh weights cost the same as trained ones. `tile_loop` is the published
network as its authors run it."""
LEVELS = 4

Fuse = Callable[[UInt8Array, UInt8Array], UInt8Array]


def average(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
    """Mean of lumas; ir uint8 HxW, vis uint8 HxWx3 RGB, into HxWx3 with the colours of vis."""
    return _with_luma(vis, lambda luma: cv2.addWeighted(ir, 0.5, luma, 0.5, 0))


def laplacian_pyramid(ir: UInt8Array, vis: UInt8Array) -> UInt8Array:
    """Stronger detail at four scales over the mean of the rest; shapes as in `average`."""
    return _with_luma(vis, lambda luma: _pyramid_fused(ir, luma))


RULES: dict[str, Fuse] = {"average": average, "laplacian_pyramid": laplacian_pyramid}
DEFAULT_RIVALS = ("average", "laplacian_pyramid", "tile_loop")


def load_rival(name: str, threads: int) -> Fuse:
    """A function over batches, ir [B,H,W] and vis [B,H,W,3], by the name of a rule or an engine."""
    if name in RULES:
        cv2.setNumThreads(threads)
        rule = RULES[name]
        return lambda ir, vis: np.stack([rule(*pair) for pair in zip(ir, vis, strict=True)])
    if importlib.util.find_spec("torch") is None:
        raise MissingDependency("torch", f"the rival {name}", "train")
    engines: Any = importlib.import_module("crossfuse_training.engines")
    engine = engines.load_torch_engine(name, TORCH_RIVALS[name], threads=threads)
    fuse: Fuse = engine.fuse
    return fuse


def _with_luma(vis: UInt8Array, fused: Callable[[UInt8Array], Any]) -> UInt8Array:
    planes = np.asarray(cv2.cvtColor(vis, cv2.COLOR_RGB2YCrCb), np.uint8)
    planes[..., 0] = fused(np.ascontiguousarray(planes[..., 0]))
    return np.asarray(cv2.cvtColor(planes, cv2.COLOR_YCrCb2RGB), np.uint8)


def _pyramid_fused(ir: UInt8Array, luma: UInt8Array) -> UInt8Array:
    images = [picture.astype(np.float32) for picture in (ir, luma)]
    details: list[NDArray[np.float32]] = []
    for _ in range(min(LEVELS, min(ir.shape).bit_length() - 1)):
        smaller = [np.asarray(cv2.pyrDown(image), np.float32) for image in images]
        first, second = (
            image - cv2.pyrUp(small, dstsize=image.shape[::-1])
            for image, small in zip(images, smaller, strict=True)
        )
        details.append(np.where(np.abs(first) >= np.abs(second), first, second))
        images = smaller
    fused = np.asarray((images[0] + images[1]) / 2, np.float32)
    for detail in reversed(details):
        fused = np.asarray(cv2.pyrUp(fused, dstsize=detail.shape[::-1]) + detail, np.float32)
    return np.asarray(np.rint(np.clip(fused, 0, 255)), np.uint8)
