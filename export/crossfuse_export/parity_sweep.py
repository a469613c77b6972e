"""Parity of everything at full width: shipped bundles, every variant, every switch. Takes hours.

python -m crossfuse_export.parity_sweep -o FILE.md [NAME ...]

Networks without a checkpoint are run with fresh weights of a fixed seed. Their deep features are
moved off zero, as trained ones are: the published shares divide by sums of them, and around zero
that amplifies rounding without bound.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from crossfuse.bundles import installed_bundles
from crossfuse.bundles.store import open_bundle
from crossfuse.data_folder import data_folder
from crossfuse.errors import UnknownName
from crossfuse.images import write_file
from crossfuse_export.onnx_export import export_onnx
from crossfuse_export.parity_report import summaries
from crossfuse_export.pictures import FEW, LARGE_SIZE, SIZES
from crossfuse_export.verify import ParityReport, verify
from crossfuse_training.checkpoint import TrainingRecord, git_commit, save
from crossfuse_training.networks.registry import VARIANTS, build

SEED = 0
DEEP_OFFSET = 3.0
ONE = ("scene 1",)
"""What stands for the pictures where a switch is tried at a large size."""
SMALL_SIZES, LARGE_SIZES = SIZES[:2], (SIZES[-1], LARGE_SIZE)

SWITCHES: tuple[dict[str, Any], ...] = (
    {"borders": "zeros"},
    {"pad_input": True},
    {"encoder_activation": "relu"},
    {"encoder_activation": "leaky_relu"},
    {"encoder_activation": "gelu"},
    {"fusion_block": "cnn"},
    {"fusion_block": "gaff"},
    {"fusion_block": "gaff", "fusion_stages": "1"},
    {"fusion_block": "gaff", "fusion_stages": "1234", "gaff_bottleneck": True, "gaff_shared": True},
    {"fusion_block": "cssa"},
    {"fusion_block": "cssa", "fusion_stages": "1234"},
    {"tile": 8},
    {"tile_overlap": 4},
    {"patch": 1, "tile": 16},
    {"heads": 8},
    {"mlp_ratio": 2.0},
    {"self_layers": 0},
    {"self_layers": 3},
    {"cross_layers": 0},
    {"cross_layers": 2},
    {"attention": "sparsemax"},
    {"attention": "entmax15"},
    {"temperature": "global"},
    {"temperature": "per_head"},
    {"multiscale": True},
    {"residual_gates": True, "residual_base": 1.0},
    {"deep_weights": "absolute"},
    {"skip_gates": "scalar"},
    {"skip_gates": "channel"},
    {"skip_gates": "attention"},
    {"learned_weights": "both"},
    {"decoder_activation": "leaky_relu"},
    {"decoder_norm": "hidden"},
    {"decoder_norm": "none"},
    {"upsampling": "bilinear"},
    {"mean_input": True},
    {"output": "gains", "head": "bounded", "decoder_norm": "hidden"},
    {"head": "bounded"},
    {"head": "bounded", "lift": 0.75},
    {"head": "affine", "affine_gain": 50.0, "affine_offset": 100.0},
)


@dataclass(frozen=True)
class Subject:
    """What is proven: a bundle with its checkpoint, or a network with fresh weights."""

    name: str
    bundle: Path | None = None
    checkpoint: Path | None = None
    variant: str = ""
    overrides: Mapping[str, Any] = field(default_factory=dict)


def subjects() -> dict[str, Subject]:
    """Everything, by name."""
    found = []
    for bundle in installed_bundles()[0]:
        checkpoint = Path("models") / bundle.manifest.name / "checkpoint"
        if checkpoint.is_dir():
            found.append(Subject(bundle.reference, bundle.folder, checkpoint))
    found += [Subject(name, variant=name) for name in VARIANTS]
    for overrides in SWITCHES:
        name = ",".join(f"{key}={value}" for key, value in overrides.items())
        found.append(Subject(f"crossfuse:{name}", variant="crossfuse", overrides=overrides))
    return {subject.name: subject for subject in found}


def prove(subject: Subject, data: Path | None, folder: Path) -> ParityReport:
    """Compare one subject; a network is exported to `folder` first."""
    if subject.bundle is not None and subject.checkpoint is not None:
        bundle, checkpoint = open_bundle(subject.bundle), subject.checkpoint
    else:
        checkpoint = _fresh_checkpoint(subject, folder / "checkpoint")
        # Measured at small sizes here: what counts is measured below.
        export_onnx(checkpoint, folder / "sweep" / "1", sizes=SMALL_SIZES)
        bundle = open_bundle(folder / "sweep" / "1")
    if subject.overrides:
        report = verify(bundle, checkpoint, data=data, sizes=SIZES[:-1], only=FEW, taps=True)
        large = verify(bundle, checkpoint, data=data, sizes=LARGE_SIZES, batches=[1], only=ONE)
    else:
        report = verify(bundle, checkpoint, data=data, taps=True)
        large = verify(bundle, checkpoint, data=data, sizes=[LARGE_SIZE], only=FEW)
    return replace(report, cases=(*report.cases, *large.cases))


def _fresh_checkpoint(subject: Subject, folder: Path) -> Path:
    torch.manual_seed(SEED)
    network = build(subject.variant, **subject.overrides).eval()
    for name, values in network.state_dict().items():
        if name.endswith("quarter_block.adjust.bias"):
            values += DEEP_OFFSET
    record = TrainingRecord(
        recipe="fresh weights", options={"seed": SEED}, data=(), git_commit=git_commit()
    )
    save(folder, network, variant=subject.variant, training=record)
    return folder


def to_markdown(outcomes: Mapping[str, ParityReport | str], not_run: Sequence[str]) -> str:
    """One row for each file of each subject; what failed before is a row too."""
    reports = [outcome for outcome in outcomes.values() if isinstance(outcome, ParityReport)]
    failed = [
        name for name, outcome in outcomes.items() if isinstance(outcome, str) or not outcome.passed
    ]
    versions = reports[0].versions if reports else {}
    sizes = ", ".join(f"{height}x{width}" for height, width in (*SIZES, LARGE_SIZE))
    return "\n".join(
        [
            f"# Parity at full width: {len(outcomes) - len(failed)} of {len(outcomes)} passed",
            "",
            "Every ONNX file against its network in eager single-precision PyTorch, in grey levels "
            f"after rounding, at {sizes}, in batches of 1 and 3. The largest size is run on "
            f"{', '.join(FEW)} alone; so is every size of single switches, and their two largest "
            f"on {ONE[0]} alone, one at a time. Made by `make parity`.",
            "",
            f"- {', '.join(f'{name} {version}' for name, version in versions.items())}, "
            f"commit {git_commit()}",
            f"- Real pictures: {reports[0].data if reports else 'none'}",
            f"- Failed: {', '.join(failed) or 'none'}",
            f"- Not run: {', '.join(not_run) or 'none'}",
            "",
            "| network | file | on | cases | not judged | missed | largest | worst mean "
            "| first part that differs |",
            "| --- | --- | --- | --: | --: | --: | --: | --: | --- |",
            *(line for name, outcome in outcomes.items() for line in _rows(name, outcome)),
            "",
        ]
    )


def _rows(name: str, outcome: ParityReport | str) -> Iterator[str]:
    if isinstance(outcome, str):
        yield f"| {name} | {outcome} | | | | | | | |"
        return
    culprit = "-" if outcome.culprit is None else outcome.culprit.module
    for row in summaries(outcome):
        mean = "-" if row["worst_mean_abs"] is None else f"{row['worst_mean_abs']:.5f}"
        yield (
            f"| {name} | {row['precision']} | {row['device']} | {row['cases']} "
            f"| {row['not_judged']} | {row['missed']} | {row['max_abs']} | {mean} | {culprit} |"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.md")
    parser.add_argument("names", nargs="*", metavar="NAME", help="what to run (default: all)")
    given = parser.parse_args(arguments)
    known = subjects()
    for name in given.names:
        if name not in known:
            parser.error(str(UnknownName("NAME", name, known)))
    chosen = given.names or list(known)
    data = data_folder()
    outcomes: dict[str, ParityReport | str] = {}
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            try:
                outcomes[name] = prove(known[name], data, Path(folder))
            except Exception as error:  # whatever it is, the others still run
                outcomes[name] = f"{type(error).__name__}: {' '.join(str(error).split()):.300}"
        # Written after each: a run of hours that is cut off keeps what it has.
        not_run = [other for other in known if other not in outcomes]
        write_file(given.output, to_markdown(outcomes, not_run).encode())
        print(f"{name}: done", file=sys.stderr)
    failed = any(isinstance(found, str) or not found.passed for found in outcomes.values())
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
