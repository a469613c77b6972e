"""Export a checkpoint to a model bundle: DIR/NAME/VERSION with ONNX files, manifest and card.

Each file is compared with the PyTorch network first. A precision that misses its bar is left out,
with the figures, and the others are written; a bundle without any is not.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from crossfuse.bundles import PRECISIONS
from crossfuse.data_folder import data_folder
from crossfuse.errors import InvalidInput, MissingDependency

if TYPE_CHECKING:
    from crossfuse_export.onnx_export import Exported

EXAMPLE = (
    "  crossfuse export onnx --checkpoint models/crossfuse-rt/checkpoint -o models/mine/1 \\\n"
    "      --precision fp32,fp16,int8 --calibration pairs/"
)

DEFAULT_PRECISIONS = "fp32,fp16"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.add_argument(
        "--checkpoint", type=Path, required=True, metavar="DIR", help="the checkpoint folder"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR/NAME/VERSION",
        help="the bundle to write; its path says the model's name and version",
    )  # fmt: skip
    parser.add_argument(
        "--precision", default=DEFAULT_PRECISIONS, metavar="P[,P...]",
        help=f"some of {', '.join(PRECISIONS)} (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--fp32-weights", default="fp32", choices=("fp32", "fp16"),
        help="how the fp32 file stores its weights; fp16 rounds them and halves the file",
    )  # fmt: skip
    parser.add_argument(
        "--calibration", type=Path, nargs="+", action="extend", default=[], metavar="DIR",
        help="folders of pairs (DIR/ir, DIR/vis) for int8 (default: training pairs of "
        "msrs and roadscene in CROSSFUSE_DATA, else synthetic scenes)",
    )  # fmt: skip
    parser.add_argument("--notes", type=Path, metavar="FILE", help="Markdown that opens the card")
    parser.add_argument("--overwrite", action="store_true", help="replace a bundle there")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Export, and print what was written and what was refused."""
    try:
        from crossfuse_export.onnx_export import export_onnx
    except ImportError as error:
        raise MissingDependency(error.name or "torch", "crossfuse export", "export") from error
    exported = export_onnx(
        args.checkpoint,
        args.output,
        precisions=[word for word in args.precision.split(",") if word],
        fp32_weights=args.fp32_weights,
        calibration=args.calibration,
        data=data_folder(),
        notes=_read_notes(args.notes),
        overwrite=args.overwrite,
    )
    for precision, reason in exported.refused.items():
        print(f"crossfuse export: no {precision} file: {reason}", file=sys.stderr)
    if args.json:
        files = {name: asdict(file) for name, file in exported.manifest.files.items()}
        content = {"output": str(args.output), "files": files, "refused": exported.refused}
        print(json.dumps(content, indent=2))
    else:
        _print_files(exported)
    return 0


def _read_notes(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("--notes", f"{path} ({error})", "a Markdown file in UTF-8") from None


def _print_files(exported: Exported) -> None:
    for precision, file in exported.manifest.files.items():
        print(f"{precision}  {file.path}  sha256 {file.sha256}")
        print(f"      against PyTorch: {file.quality}")
