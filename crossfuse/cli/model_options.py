"""The options of commands that run a model in this process."""

from __future__ import annotations

import argparse
from pathlib import Path

from crossfuse.bundles import DEFAULT_MODEL, PRECISIONS
from crossfuse.engines import DEVICES, Engine, load_engine


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """Which model, and where it runs."""
    parser.add_argument(
        "--model",
        help="name, name:version, bundle folder or .onnx file; with --server a name of its models "
        f"(default: {DEFAULT_MODEL}, or the server's default)",
    )  # fmt: skip
    add_engine_arguments(parser)


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Where models are found, and how they run."""
    parser.add_argument("--models", type=Path, metavar="DIR", help="a folder of bundles to add")
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default: %(default)s")
    parser.add_argument(
        "--precision", choices=("auto", *PRECISIONS), default="auto", help="default: %(default)s"
    )
    parser.add_argument("--threads", type=int, help="processors to use (default: all)")


def open_engine(args: argparse.Namespace, model: str | None) -> Engine:
    """The model on the device that these options describe; the default one if none is named."""
    return load_engine(
        model or DEFAULT_MODEL,
        device=args.device,
        precision=args.precision,
        threads=args.threads,
        models=args.models,
    )
