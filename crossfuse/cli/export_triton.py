"""Write bundles as a model repository for NVIDIA Triton, which serves the same tensors as we do.

Each model gets a config.pbtxt with dynamic batching, a bounded queue, warm-up and, for GPUs, the
onnxruntime backend's TensorRT accelerator, or the engines of `crossfuse export tensorrt` instead.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from crossfuse.bundles import PRECISIONS, named_bundle
from crossfuse.errors import MissingDependency

EXAMPLE = (
    "  crossfuse export triton crossfuse-rt -o repository\n"
    "  tritonserver --model-repository repository"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.add_argument(
        "bundle", nargs="+", help="bundle folders, names or name:version; versions join one model"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="the model repository"
    )
    parser.add_argument(
        "--device", default="tensorrt", choices=("tensorrt", "cuda", "cpu"),
        help="what Triton runs the models on (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--precision", default="auto", choices=("auto", *PRECISIONS),
        help="which file goes in; auto is fp16 on a GPU and fp32 on a CPU",
    )  # fmt: skip
    parser.add_argument(
        "--instances", type=int, default=1, metavar="N",
        help="instances of each model on each device (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--engines", type=Path, default=None, metavar="DIR",
        help="folder of `crossfuse export tensorrt`, whose engines go in instead of ONNX files; "
        "Triton must have the same TensorRT and GPU",
    )  # fmt: skip
    parser.add_argument("--overwrite", action="store_true", help="replace models that are there")
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Write the repository, and print what is in it."""
    try:
        from crossfuse_export.triton_repository import export_triton
    except ImportError as error:
        raise MissingDependency(error.name or "onnx", "crossfuse export", "export") from error
    exported = export_triton(
        [named_bundle(name) for name in args.bundle],
        args.output,
        device=args.device,
        precision=args.precision,
        instances=args.instances,
        engines=args.engines,
        overwrite=args.overwrite,
    )
    if args.json:
        rows = [
            {
                "folder": str(entry.folder),
                "versions": list(entry.model.versions),
                "precision": entry.model.precision,
                "device": entry.model.device,
                "file": entry.model.file_name,
                "max_batch_size": entry.model.largest_batch,
            }
            for entry in exported
        ]
        print(json.dumps(rows, indent=2))
        return 0
    for entry in exported:
        versions = ", ".join(map(str, entry.model.versions))
        print(
            f"{entry.folder}  version {versions}, {entry.model.precision} on {entry.model.device}, "
            f"{entry.model.file_name}, batches up to {entry.model.largest_batch}"
        )
    return 0
