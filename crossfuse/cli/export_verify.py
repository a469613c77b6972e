"""Prove a bundle: every file on every provider of onnxruntime against the PyTorch network.

Compared are real pairs (the sample, and the sets in the folder that CROSSFUSE_DATA names),
synthetic scenes and inputs that no camera gives, at 32x32, 33x47, 247x359 and 480x640, alone and in
batches of three. The folder gets parity.json with every case and parity.md with the worst. The exit
code is 1 where a file misses the bar of its precision.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from crossfuse.bundles import named_bundle
from crossfuse.data_folder import data_folder
from crossfuse.errors import MissingDependency

EXAMPLE = (
    "  crossfuse export verify models/crossfuse-rt/1 "
    "--checkpoint models/crossfuse-rt/checkpoint -o parity"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.add_argument("bundle", help="bundle folder, name or name:version")
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="DIR",
        help="the checkpoint folder that the bundle was made from",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("parity"), metavar="DIR",
        help="folder of the report (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--taps", action="store_true",
        help="also compare the fp32 file part by part, to find where a difference begins",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print parity.json on stdout")


def run(args: argparse.Namespace) -> int:
    """Compare, write the report, say what missed."""
    try:
        from crossfuse_export.parity_report import summaries, to_json, write_report
        from crossfuse_export.verify import verify
    except ImportError as error:
        raise MissingDependency(
            error.name or "torch", "crossfuse export verify", "export"
        ) from error
    report = verify(
        named_bundle(args.bundle),
        args.checkpoint,
        data=data_folder(),
        taps=args.taps,
    )
    write_report(args.output, report)
    if args.json:
        print(json.dumps(to_json(report), indent=2))
        return 0 if report.passed else 1
    for row in summaries(report):
        psnr = "equal" if row["worst_psnr"] is None else f"{row['worst_psnr']:.1f} dB"
        print(
            f"{row['precision']} on {row['device']}: {row['cases']} cases, {row['missed']} missed, "
            f"{row['not_judged']} not judged; largest {row['max_abs']}, worst PSNR {psnr}"
        )
    for found in report.banding:
        print(f"banding: {found}")
    for precision, places in report.not_finite.items():
        for where in places:
            print(f"not finite inside {precision}: {where}")
    for skipped in report.skipped:
        print(f"not run on {skipped.device}: {skipped.reason}")
    if report.culprit is not None:
        print(f"the difference begins in {report.culprit.part} ({report.culprit.module})")
    print(f"{'passed' if report.passed else 'MISSED'}: {args.output / 'parity.md'}")
    return 0 if report.passed else 1
