"""Build TensorRT engines of a bundle for the GPU of this machine.

Engines hold for one ONNX file, one TensorRT, one compute capability and a set of profiles: the
sizes and batches that they take. An engine that is there and equal in all of these is kept.
`--device tensorrt` finds what lies in the default folder. TensorRT engines are code: the folder
must belong to you, and nobody else may write to it.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from crossfuse.bundles import PRECISIONS, named_bundle
from crossfuse.engines.tensorrt_key import HARDWARE
from crossfuse.engines.tensorrt_profiles import DEFAULT_PROFILES, FORM, WORKSPACE, Profile
from crossfuse.engines.tensorrt_store import engines_folder
from crossfuse.errors import InvalidInput, MissingDependency

if TYPE_CHECKING:
    from crossfuse_export.tensorrt_export import ExportedEngine

EXAMPLE = (
    "  crossfuse export tensorrt crossfuse-rt\n"
    "  crossfuse export tensorrt crossfuse-rt --precision fp16,int8 --profile 480x640:1,1,16"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the action."""
    parser.add_argument("bundle", help="bundle folder, name or name:version")
    parser.add_argument(
        "--precision", default="fp16", metavar="P[,P...]",
        help=f"some of {', '.join(PRECISIONS)} (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--profile", type=str, action="append", default=[], metavar="SHAPES",
        help=f"{FORM}; may be given several times (default: "
        f"{' '.join(map(str, DEFAULT_PROFILES))})",
    )  # fmt: skip
    parser.add_argument(
        "--workspace", type=int, default=WORKSPACE >> 20, metavar="MIB",
        help="scratch memory that TensorRT may plan with (default: %(default)s MiB)",
    )  # fmt: skip
    parser.add_argument(
        "--hardware-compatibility", default="none", choices=HARDWARE,
        help="which other GPUs the engine shall run on, at some cost in speed "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--rebuild", action="store_true", help="build even what is there")
    parser.add_argument(
        "-o", "--output", type=Path, default=None, metavar="DIR",
        help="folder of the engines (default: CROSSFUSE_ENGINES, or the user's cache folder)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the result as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Build, and print what was built and what was kept."""
    profiles = tuple(Profile.parse(text) for text in args.profile) or DEFAULT_PROFILES
    if args.workspace < 1:
        raise InvalidInput("--workspace", str(args.workspace), "1 MiB or more")
    bundle = named_bundle(args.bundle)
    try:
        from crossfuse_export.tensorrt_build import BuildOptions
        from crossfuse_export.tensorrt_export import export_tensorrt
    except ImportError as error:
        raise MissingDependency(error.name or "onnx", "crossfuse export", "tensorrt") from error
    exported = export_tensorrt(
        bundle,
        [word for word in args.precision.split(",") if word],
        args.output or engines_folder(),
        BuildOptions(profiles, args.workspace << 20, args.hardware_compatibility),
        rebuild=args.rebuild,
    )
    if args.json:
        print(json.dumps([_as_json(engine) for engine in exported], indent=2))
        return 0
    for engine in exported:
        _print(engine)
    return 0


def _as_json(engine: ExportedEngine) -> dict[str, object]:
    built = engine.built
    return {
        "plan": str(engine.stored.plan),
        "sha256": engine.stored.sha256,
        "key": engine.stored.key.to_json(),
        "built": built is not None,
        "replaced": list(engine.replaced),
        "layers": None if built is None else built.layers,
        "seconds": None if built is None else built.seconds,
    }


def _print(engine: ExportedEngine) -> None:
    key = engine.stored.key
    if engine.built is None:
        print(f"{key.precision}  kept {engine.stored.plan}")
        return
    print(
        f"{key.precision}  {engine.stored.plan}\n"
        f"      {len(engine.built.plan) / 1e6:.1f} MB, {engine.built.layers} layers, built in "
        f"{engine.built.seconds:.0f} s with {key.platform.flavour} {key.platform.version} for "
        f"compute capability {key.platform.capability}"
    )
    if engine.replaced:
        print(f"      the newest one there was another: {'; '.join(engine.replaced)}")
