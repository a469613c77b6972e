"""Turn the three published CrossFuse weight files into one checkpoint folder.

Every tensor is accounted for: used, dropped because the network never uses it, or verified to be
the constant that it must be. Files with learned attention temperatures, as enhanced repositories
write them, are taken too; anything else is refused by the tensor's name. The files are read as
tensors and nothing else, so a file cannot run code.

The published repository states no licence, so its weights may not be yours to pass on.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from crossfuse.errors import InvalidInput, MissingDependency

if TYPE_CHECKING:
    from crossfuse_training.checkpoint import TrainingRecord
    from crossfuse_training.official import AttentionHealth, ImportReport

EXAMPLE = (
    "  crossfuse import-official --ir-encoder auto_encoder_epoch_4_ir.model \\\n"
    "      --vis-encoder auto_encoder_epoch_4_vi.model \\\n"
    "      --fusion fusetrans_epoch_32.model -o checkpoints/official"
)

VARIANT = "crossfuse"
FATES = ("used", "dropped", "verified")
VANISHED_RMS = 2e-3
"""Far below what layers of 512 inputs start from (2.6e-2): decay has won over the data."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    for name, meaning in (
        ("ir-encoder", "auto-encoder of the infrared pictures"),
        ("vis-encoder", "auto-encoder of the visible pictures"),
        ("fusion", "fusion network"),
    ):
        parser.add_argument(
            f"--{name}", type=Path, required=True, metavar="FILE", help=f"weights of the {meaning}"
        )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="checkpoint folder to write"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a checkpoint there")
    parser.add_argument("--verbose", action="store_true", help="list every tensor by name")
    parser.add_argument("--json", action="store_true", help="print the whole account as JSON")


def run(args: argparse.Namespace) -> int:
    """Import, write the checkpoint, print the account."""
    try:
        from crossfuse_training import checkpoint
        from crossfuse_training.official import import_official
    except ImportError as error:
        raise MissingDependency(
            error.name or "torch", "crossfuse import-official", "train"
        ) from error
    if not args.overwrite and (args.output / checkpoint.RECORD_NAME).exists():
        raise InvalidInput(
            "--output", f"{args.output}, which holds a checkpoint", "a new folder, or --overwrite"
        )
    network, report = import_official(args.ir_encoder, args.vis_encoder, args.fusion)
    training = _training_record(args, report, checkpoint.git_commit())
    checkpoint.save(args.output, network, variant=VARIANT, training=training)
    parameters = sum(parameter.numel() for parameter in network.parameters())
    if args.json:
        attention = [{**asdict(health), "verdict": verdict(health)} for health in report.attention]
        content = {"output": str(args.output), "parameters": parameters, **asdict(report)}
        print(json.dumps({**content, "attention": attention}, indent=2))
        return 0
    _print_account(report, verbose=args.verbose)
    print(f"{args.output}: written, {parameters:,} parameters")
    return 0


def _training_record(args: argparse.Namespace, report: ImportReport, commit: str) -> TrainingRecord:
    from crossfuse_training.checkpoint import TrainingRecord

    sources = {"ir_encoder": args.ir_encoder, "vis_encoder": args.vis_encoder}
    return TrainingRecord(
        recipe="imported from published CrossFuse weights",
        options={
            "files": {
                field: {"name": path.name, "sha256": report.sha256[field]}
                for field, path in {**sources, "fusion": args.fusion}.items()
            }
        },
        data=(
            {
                "name": "not recorded in the files",
                "licence": "not recorded in the files",
                "split": "not recorded in the files",
            },
        ),
        git_commit=commit,
    )


def verdict(health: AttentionHealth) -> str:
    """Whether the module attends to anything, in plain words."""
    from crossfuse_training.attention_maps import is_uniform

    weakest = min(health.query_rms, health.key_rms)
    if is_uniform(health.relative_entropy):
        cause = (
            ", since its query or key weights have all but vanished"
            if weakest < VANISHED_RMS
            else ""
        )
        return f"degenerated: it averages all tokens alike{cause}"
    if weakest < VANISHED_RMS:
        return "weak: its query or key weights have all but vanished"
    return "attends"


def _print_account(report: ImportReport, *, verbose: bool) -> None:
    if verbose:
        for fate in report.fates:
            print(f"{fate.file:<12}{fate.fate:<10}{fate.tensor}  ({fate.detail})")
    print(f"{'FILE':<13}{'TENSORS':>8}{'USED':>8}{'DROPPED':>9}{'VERIFIED':>10}  SHA256")
    for file, digest in report.sha256.items():
        counts = Counter(fate.fate for fate in report.fates if fate.file == file)
        used, dropped, verified = (counts[fate] for fate in FATES)
        total = used + dropped + verified
        print(f"{file:<13}{total:>8}{used:>8}{dropped:>9}{verified:>10}  {digest}")
    dropped_for = Counter(fate.detail for fate in report.fates if fate.fate == "dropped")
    for reason, count in dropped_for.items():
        print(f"dropped {count:>3}: {reason}")
    kinds = {"none": "none", "global": "one for each direction", "per_head": "one for each head"}
    print(f"learned temperatures: {kinds[report.temperature]}")
    print(f"{'ATTENTION':<48}{'QUERY RMS':>10}{'KEY RMS':>10}{'ENTROPY':>9}{'OF MAX':>8}  VERDICT")
    for health in report.attention:
        print(
            f"{health.module:<48}{health.query_rms:>10.2e}{health.key_rms:>10.2e}"
            f"{health.entropy:>9.4f}{health.relative_entropy:>8.4f}  {verdict(health)}"
        )
