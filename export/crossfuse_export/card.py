"""The card of a bundle: what a person should know before using the model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from crossfuse.bundles import BundleFile, Manifest
from crossfuse_training.checkpoint import CheckpointRecord


def write_card(
    manifest: Manifest,
    record: CheckpointRecord,
    notes: str,
    remarks: Sequence[str],
    refused: Mapping[str, str],
) -> str:
    """Markdown from what was recorded and measured; `notes` is what only a person can say.

    `remarks` are sentences about the figures, `refused` the reasons of the missing precisions.
    """
    lines = [
        f"# {manifest.name}, version {manifest.version}",
        "",
        *([notes.strip(), ""] if notes.strip() else []),
        "## Model",
        "",
        f"- Architecture `{manifest.architecture}`, variant `{record.variant}`: "
        f"{manifest.parameters:,} parameters, {manifest.macs_480x640 / 1e9:.2f} GMAC at 480x640.",
        f"- Output head `{manifest.head}`.",
        f"- Takes any size from {manifest.minimum_size} pixels a side and any batch: `ir` uint8 "
        "[batch,height,width], `vis` uint8 [batch,height,width,3] RGB; gives `fused` like `vis`. "
        "The visible picture's colours are kept.",
        "",
        "## Training",
        "",
        f"Recipe `{record.training.recipe}`, code at `{record.training.git_commit}`.",
        "",
        "| data set | licence | used |",
        "| --- | --- | --- |",
        *(
            f"| {source.name} | {source.licence} | {source.split} |"
            for source in manifest.training.data
        ),
        "",
        "## Measured",
        "",
        "| pictures | metric | value |",
        "| --- | --- | --- |",
        *(
            f"| {held_out.pictures} | {name} | {value:.3f} |"
            for held_out in record.training.held_out
            for name, value in held_out.metrics.items()
        ),
        "",
        f"Profile `{manifest.quality.profile}` of `crossfuse.metrics`, which states what each is; "
        "on luma.",
        "",
        "## Files",
        "",
        "Each against the PyTorch network in single precision; differences in grey levels.",
        "",
        "| file | weights | PSNR | SSIM | largest | mean | over |",
        "| --- | --- | --- | --- | --- | --- | --- |",
        *(_row(file) for file in manifest.files.values()),
        "",
        *(f"- {remark}" for remark in remarks),
        *(
            f"- There is no {precision} file: {reason.removeprefix(f'{precision}: ')}."
            for precision, reason in refused.items()
        ),
    ]
    return "\n".join(lines).rstrip() + "\n"


def _row(file: BundleFile) -> str:
    quality = file.quality
    psnr = "identical" if quality.psnr is None else f"{quality.psnr:.1f} dB"
    return (
        f"| `{file.path}` | {file.weights} | {psnr} | {quality.ssim:.4f} | {quality.max_abs:g} | "
        f"{quality.mean_abs:.6f} | {quality.pictures} |"
    )
