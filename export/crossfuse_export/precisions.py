"""One file of a bundle: its model in a precision, measured, with what is to be said of it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from torch import nn

from crossfuse.bundles import BundleFile, FileQuality
from crossfuse_export.banding import check_banding
from crossfuse_export.calibration import calibration
from crossfuse_export.errors import QualityMissed
from crossfuse_export.folding import folded
from crossfuse_export.fp32_islands import choose_islands
from crossfuse_export.half_weights import store_as_half
from crossfuse_export.onnx_files import parse_onnx
from crossfuse_export.precision_fp16 import to_fp16
from crossfuse_export.precision_int8 import quantise
from crossfuse_export.quality import (
    ALL_PICTURES_UP_TO,
    Expected,
    check_batches,
    expectations,
    measure,
    onnx_runner,
)
from crossfuse_export.speed import side_by_side
from crossfuse_export.taps import not_finite
from crossfuse_export.tracing import OPSET
from crossfuse_training.fusion_graph import FusionGraph

LEAST_SPEEDUP = 1.05
"""From which an int8 file is worth its quality: what is less is lost in the noise of timing."""


@dataclass(frozen=True)
class Made:
    """A model file and its entry in the manifest."""

    content: bytes
    entry: BundleFile
    remarks: tuple[str, ...]
    """For the card: what the figures of the entry mean, in whole sentences."""


@dataclass(frozen=True)
class Proof:
    """A network, its fp32 model, and the pictures that files are measured on."""

    network: nn.Module
    model: onnx.ModelProto
    expected: Sequence[Expected]
    sizes: Sequence[tuple[int, int]]
    data: Path | None
    """The folder of data sets."""
    calibration: Sequence[Path]
    """Folders of pairs for int8; empty for the usual ones."""

    @property
    def small(self) -> list[Expected]:
        """The pictures that are run many times."""
        return [case for case in self.expected if case.fused.size // 3 <= ALL_PICTURES_UP_TO]

    @property
    def smallest(self) -> list[Expected]:
        """The pictures of the smallest size, for looking at every number inside a file."""
        least = min(case.fused.size for case in self.expected)
        return [case for case in self.expected if case.fused.size == least]


def make_fp32(proof: Proof, weights: str) -> Made:
    """The fp32 file; with weights "fp16" `proof.model` has weights that fp16 holds exactly."""
    if weights == "fp32":
        content = proof.model.SerializeToString()
        run = onnx_runner(content)
        check_batches(proof.expected, run)
        return _made("fp32", content, weights, measure(proof.expected, run, "fp32"))
    content = store_as_half(proof.model).SerializeToString()
    run = onnx_runner(content)
    check_batches(proof.expected, run)
    rounded = expectations(folded(proof.network, weights="fp16"), proof.sizes, data=proof.data)
    moved = measure(proof.expected, run, "fp16")
    return _made(
        "fp32",
        content,
        weights,
        measure(rounded, run, "fp32"),
        remarks=(
            "The weights of the fp32 file were rounded to half precision first; its figures are "
            "against the PyTorch network with the same rounding. Against the weights as trained "
            f"it has {figures(moved)}.",
        ),
    )


def make_fp16(proof: Proof) -> Made:
    """The fp16 file, with as few parts in single precision as its numbers need."""
    choice = choose_islands(
        FusionGraph(proof.network),
        proof.model,
        lambda content: measure(proof.small, onnx_runner(content), "fp16"),
    )
    model = to_fp16(proof.model, choice.nodes)
    broken = not_finite(model, [case.picture for case in proof.smallest])
    if broken:
        raise QualityMissed(f"fp16: got numbers that are not finite: {broken[0]}; valid: finite")
    content = model.SerializeToString()
    quality = measure(proof.expected, onnx_runner(content), "fp16")
    return _made(
        "fp16",
        content,
        "fp16",
        quality,
        islands=choice.islands,
        remarks=(
            "The figures of the fp16 file were taken on a CPU, which computes its operations in "
            "single precision: they prove its weights and its types only. With every result "
            f"rounded to half precision, as a GPU stores it, the same graph has "
            f"{figures(choice.quality)} over {choice.quality.pictures}.",
            "In single precision inside the fp16 file: "
            f"{', '.join(choice.islands) or 'nothing; nothing needed it'}.",
        ),
    )


def make_int8(proof: Proof) -> Made:
    """The int8 file, where it is near enough, makes no bands, and is faster than fp32."""
    pictures = calibration(proof.calibration, proof.data)
    fp32 = proof.model.SerializeToString()

    def proved(candidate: bytes) -> FileQuality:
        quality = measure(proof.expected, onnx_runner(candidate), "int8")
        check_banding(onnx_runner(fp32), onnx_runner(candidate))
        return quality

    result = quantise(proof.model, pictures, proved)
    content = result.model.SerializeToString()
    timed = side_by_side(fp32, content)
    speed = (
        f"{timed.ratio:.2f} times as fast as fp32 ({timed.second_ms:.1f} against "
        f"{timed.first_ms:.1f} ms: {timed.conditions})"
    )
    if timed.ratio < LEAST_SPEEDUP:
        raise QualityMissed(
            f"int8: got {speed}, with {figures(result.quality)}; valid: at least {LEAST_SPEEDUP:g} "
            "times as fast, to be worth its loss"
        )
    return _made(
        "int8",
        content,
        "int8",
        result.quality,
        islands=result.float_parts,
        calibrated_on=pictures.description,
        speedup=timed.ratio,
        remarks=(
            f"The int8 file is {speed}. Its ranges come from {pictures.description}. In float "
            f"inside it: all that is no convolution, {', '.join(result.float_parts)}.",
        ),
    )


def figures(quality: FileQuality) -> str:
    """PSNR, SSIM and differences in words."""
    psnr = "no difference" if quality.psnr is None else f"PSNR {quality.psnr:.1f} dB"
    return (
        f"{psnr}, SSIM {quality.ssim:.4f}, at most {quality.max_abs:g} grey levels, "
        f"{quality.mean_abs:.4f} on average"
    )


def _made(
    precision: str,
    content: bytes,
    weights: str,
    quality: FileQuality,
    *,
    islands: tuple[str, ...] = (),
    calibrated_on: str | None = None,
    speedup: float | None = None,
    remarks: tuple[str, ...] = (),
) -> Made:
    name = f"model.{precision}.onnx"
    parse_onnx(content, name)
    entry = BundleFile(
        path=name,
        sha256=hashlib.sha256(content).hexdigest(),
        opset=OPSET,
        weights=weights,
        quality=quality,
        fp32_islands=islands,
        calibration=calibrated_on,
        speedup=speedup,
    )
    return Made(content, entry, remarks)
