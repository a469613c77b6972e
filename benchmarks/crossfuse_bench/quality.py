"""What a speed costs: the distance of pictures to those that fp32 of the same model makes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import crossfuse
from crossfuse.arrays import UInt8Array
from crossfuse.bundles import find_bundle, resolve_model
from crossfuse.client import FusionClient, ModelInfo
from crossfuse.engines.devices import available_cpus
from crossfuse.errors import CrossFuseError, UnknownName
from crossfuse.metrics import Picture, SourcePair
from crossfuse.metrics.structure import ssim_gaussian_mean
from crossfuse_bench.engine_case import EngineCase
from crossfuse_bench.engine_runs import KEPT, in_process, run_in_process
from crossfuse_bench.scenes import load_scenes

Pair = tuple[UInt8Array, UInt8Array]
Progress = Callable[[str], None]

EQUAL_DB = 100.0


class References:
    """What fp32 makes of the first scenes, once per size."""

    def __init__(self, progress: Progress) -> None:
        self._found: dict[tuple[int, int], list[UInt8Array] | None] = {}
        self._progress = progress

    def of(self, case: EngineCase) -> list[UInt8Array] | None:
        """Pictures uint8 [H,W,3] of fp32 on the CPU; None where the model has no fp32 file."""
        size = (case.height, case.width)
        if size not in self._found:
            self._found[size] = None
            model = case.model
            if not model.endswith(".onnx") and _has_fp32(model):
                self._progress(f"fp32 reference of {model}")
                wanted = EngineCase(model, *size, precision="fp32", threads=case.threads)
                self._found[size] = run_in_process(wanted, 0.0).fused
        return self._found[size]


def distance(fused: Sequence[UInt8Array], reference: Sequence[UInt8Array] | None) -> dict[str, Any]:
    """PSNR and SSIM of pictures, uint8 HxWx3 or HxW, to those of fp32; means over the pictures."""
    if reference is None:
        return {"psnr": None, "ssim": None, "note": "no fp32 of this model to compare with"}
    if all(np.array_equal(*both) for both in zip(fused, reference, strict=True)):
        return {"psnr": None, "ssim": 1.0, "note": "the same bytes as fp32 on the CPU"}
    psnrs, ssims = [], []
    for one, other in zip(fused, reference, strict=True):
        error = np.mean((one.astype(float) - other) ** 2)
        psnrs.append(10 * np.log10(255**2 / error) if error else EQUAL_DB)
        # The metric is the mean over two sources: given the same twice, it is that of one.
        ssims.append(ssim_gaussian_mean(SourcePair(other, other), Picture(one)))
    note = f"to fp32 of the model on the CPU; {EQUAL_DB:.0f} dB stands for equal"
    # Pictures smaller than its window have none.
    ssim = None if np.isnan(ssims).any() else float(np.mean(ssims))
    if ssim is None:
        note += "; pictures of this size have no SSIM"
    return {"psnr": float(np.mean(psnrs)), "ssim": ssim, "note": note}


def served_quality(
    client: FusionClient, info: ModelInfo, size: tuple[int, int], encodings: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """By encoding: how far what a server answers is from fp32 of its model in this process."""
    pairs = load_scenes(*size).pairs[:KEPT]
    reference = fp32_pictures(info, pairs)
    return {
        encoding: distance(
            [client.fuse(*pair, model=info.reference, encoding=encoding) for pair in pairs],
            reference,
        )
        for encoding in encodings
    }


def fp32_pictures(info: ModelInfo, pairs: Sequence[Pair]) -> list[UInt8Array] | None:
    """The pairs as fp32 of a server's model fuses them here; None where that is not installed."""
    try:
        files = find_bundle(info.reference).manifest.files
    except CrossFuseError:
        return None
    same = any(file.sha256 == info.sha256 for file in files.values())
    if not same or "fp32" not in files:
        return None
    return in_process(available_cpus(), functools.partial(_fused, info.reference, pairs))


def _fused(model: str, pairs: Sequence[Pair]) -> list[UInt8Array]:
    with crossfuse.load(model, device="cpu", precision="fp32") as fuser:
        return [fuser.fuse(*pair) for pair in pairs]


def _has_fp32(model: str) -> bool:
    try:
        resolve_model(model, ("fp32",))
    except UnknownName:
        return False
    return True
