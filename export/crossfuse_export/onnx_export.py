"""Exports a checkpoint to a model bundle: one ONNX file for each precision, proven, with papers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crossfuse.bundles import PRECISIONS, Manifest
from crossfuse.errors import InvalidInput, UnknownName
from crossfuse_export.bundle_files import make_manifest, name_and_version, write_bundle
from crossfuse_export.card import write_card
from crossfuse_export.errors import QualityMissed
from crossfuse_export.pictures import SIZES
from crossfuse_export.precisions import Made, Proof, make_fp16, make_fp32, make_int8
from crossfuse_export.quality import expectations
from crossfuse_export.tracing import check_takes_a_pair, to_onnx
from crossfuse_training.checkpoint import load, read_record
from crossfuse_training.fusion_graph import FusionGraph

WEIGHTS = ("fp32", "fp16")
"""How the weights of an fp32 file can be stored."""


@dataclass(frozen=True)
class Exported:
    """What was written, and why the precisions that are missing from it were refused."""

    manifest: Manifest
    refused: Mapping[str, str]


def export_onnx(
    checkpoint: Path,
    bundle: Path,
    *,
    precisions: Sequence[str] = ("fp32",),
    fp32_weights: str = "fp32",
    calibration: Sequence[Path] = (),
    data: Path | None = None,
    notes: str = "",
    overwrite: bool = False,
    sizes: Sequence[tuple[int, int]] = SIZES,
) -> Exported:
    """Write the bundle DIR/NAME/VERSION of a checkpoint folder: models, manifest and card.

    A precision that misses its bar is left out, and the others are written; where nothing is left
    QualityMissed says why, and nothing is written. `data` is a folder of data sets, which real
    pictures are taken from; `calibration` are folders of pairs for int8 (by default from `data`,
    or synthetic scenes); `notes` opens the card; `sizes` (height, width) are measured at.
    """
    name_and_version(bundle)
    for precision in precisions:
        if precision not in PRECISIONS:
            raise UnknownName("precision", precision, PRECISIONS)
    if not precisions:
        raise InvalidInput("precision", "none", ", ".join(PRECISIONS))
    if fp32_weights not in WEIGHTS:
        raise UnknownName("fp32_weights", fp32_weights, WEIGHTS)
    if bundle.exists() and not overwrite:
        raise InvalidInput("bundle", f"{bundle}, which exists", "a new version, or overwrite")
    record, network = read_record(checkpoint), load(checkpoint)
    check_takes_a_pair(network)
    proof = Proof(
        network,
        to_onnx(FusionGraph(network), weights=fp32_weights),
        expectations(network, sizes, data=data),
        sizes,
        data,
        calibration,
    )
    made, refused = _make(proof, precisions, fp32_weights)
    manifest = make_manifest(
        bundle, record, network, {precision: file.entry for precision, file in made.items()}
    )
    remarks = [remark for file in made.values() for remark in file.remarks]
    card = write_card(manifest, record, notes, remarks, refused)
    write_bundle(bundle, {f.entry.path: f.content for f in made.values()}, manifest, card)
    return Exported(manifest, refused)


def _make(
    proof: Proof, precisions: Sequence[str], fp32_weights: str
) -> tuple[dict[str, Made], dict[str, str]]:
    """The files by precision, and the reasons of those that were refused.

    The fp32 model is proven even where its file is not asked for: the others are made from it.
    """
    made = {"fp32": make_fp32(proof, fp32_weights)}
    refused: dict[str, str] = {}
    makers: dict[str, Callable[[Proof], Made]] = {"fp16": make_fp16, "int8": make_int8}
    for precision, maker in makers.items():
        if precision not in precisions:
            continue
        try:
            made[precision] = maker(proof)
        except QualityMissed as error:
            refused[precision] = str(error)
    wanted = {precision: file for precision, file in made.items() if precision in precisions}
    if not wanted:
        raise QualityMissed("; ".join(refused.values()))
    return wanted, refused
