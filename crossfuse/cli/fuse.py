"""Fuse one pair of pictures, or every pair of two folders.

Pictures are PNG, JPEG, WebP or TIFF; the infrared one may have 16 bits. Two folders are paired by
stem (a/x.png with b/x.jpg) and every fused picture is written as OUT/<stem>.png. A picture that is
already there is skipped unless --overwrite is given, so an interrupted folder is finished by
running the command again. With --ray two folders are worked through by a Ray cluster: the one of
RAY_ADDRESS, else the one that runs on this machine, else a new one; folders may then be URIs such
as s3://bucket/ir.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from crossfuse.arrays import UInt8Array
from crossfuse.cli import INTERRUPTED
from crossfuse.cli.folders import FolderResult, Pair, fuse_folders
from crossfuse.cli.fuse_ray import fuse_folders_with_ray
from crossfuse.cli.infrared_options import add_infrared_arguments
from crossfuse.cli.model_options import add_model_arguments, open_engine
from crossfuse.cli.server_options import add_server_arguments, open_client
from crossfuse.errors import InvalidInput
from crossfuse.fuser import Fuser
from crossfuse.images import encode, read_infrared, read_visible, write_file
from crossfuse.output_folder import make_output_folder

EXAMPLE = (
    "  crossfuse fuse --ir ir.png --vis vis.png -o fused.png\n"
    "  crossfuse fuse --ir night/ir --vis night/vis -o night/fused --json"
)

Fuse = Callable[..., UInt8Array]

ENCODING_OF_SUFFIX = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--ir", type=Path, required=True, help="infrared picture or folder")
    parser.add_argument("--vis", type=Path, required=True, help="visible picture or folder")
    parser.add_argument(
        "-o", "--output", type=Path, required=True,
        help="fused picture (.png, .jpg, .webp), or the folder for two folders",
    )  # fmt: skip
    parser.add_argument("--ray", action="store_true", help="use a Ray cluster, for two folders")
    parser.add_argument("--overwrite", action="store_true", help="replace pictures that exist")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON on stdout")
    add_infrared_arguments(parser)
    add_model_arguments(parser)
    add_server_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Fuse a pair or two folders."""
    if args.ray:
        return _report(args, fuse_folders_with_ray(args))
    both_folders = args.ir.is_dir() and args.vis.is_dir()
    if args.ir.is_dir() != args.vis.is_dir():
        folder, other = ("ir", "vis") if args.ir.is_dir() else ("vis", "ir")
        raise InvalidInput(
            other, str(getattr(args, other)), f"a folder, since --{folder} is one; or two files"
        )
    output = _check_output(args, both_folders)
    with _open_fuser(args) as fuse:
        if both_folders:
            return _fuse_folders(args, fuse)
        return _fuse_pair(args, fuse, Pair(args.ir.stem, args.ir, args.vis, output))


@contextmanager
def _open_fuser(args: argparse.Namespace) -> Iterator[Fuse]:
    """What fuses two arrays: the model in this process, or the one of a server."""
    if args.server is not None:
        with open_client(args, max_pixels=args.max_pixels) as client:
            yield partial(client.fuse, model=args.model)
        return
    with Fuser(open_engine(args, args.model), max_pixels=args.max_pixels) as fuser:
        yield fuser.fuse


def _check_output(args: argparse.Namespace, both_folders: bool) -> Path:
    """Where the picture of a single pair goes; refuses what cannot be written before any work."""
    output: Path = args.output
    if both_folders:
        return make_output_folder(output)
    if output.is_dir():
        output = output / f"{args.ir.stem}.png"
    if output.suffix.lower() not in ENCODING_OF_SUFFIX:
        raise InvalidInput(
            "--output", str(output), f"a file ending in {', '.join(ENCODING_OF_SUFFIX)}"
        )
    if not output.parent.is_dir():
        raise InvalidInput(
            "--output", str(output), f"a folder that exists; {output.parent} does not"
        )
    return output


def _fuse_one(args: argparse.Namespace, fuse: Fuse, pair: Pair) -> None:
    fused = fuse(
        read_infrared(pair.ir, max_pixels=args.max_pixels, palette=args.ir_palette),
        read_visible(pair.vis, max_pixels=args.max_pixels),
        ir_mapping=args.ir_mapping,
        ir_polarity=args.ir_polarity,
    )
    encoding = ENCODING_OF_SUFFIX[pair.output.suffix.lower()]
    write_file(pair.output, encode(fused, encoding))


def _fuse_pair(args: argparse.Namespace, fuse: Fuse, pair: Pair) -> int:
    started = time.perf_counter()
    skipped = pair.output.exists() and not args.overwrite
    if not skipped:
        _fuse_one(args, fuse, pair)
    seconds = time.perf_counter() - started
    if args.json:
        print(json.dumps({"output": str(pair.output), "skipped": skipped, "seconds": seconds}))
    elif skipped:
        print(f"skipped: {pair.output} exists; --overwrite replaces it")
    else:
        print(f"{pair.output}: fused in {seconds * 1e3:.0f} ms, files included")
    return 0


def _fuse_folders(args: argparse.Namespace, fuse: Fuse) -> int:
    result = fuse_folders(
        args.ir,
        args.vis,
        args.output,
        lambda pair: _fuse_one(args, fuse, pair),
        overwrite=args.overwrite,
    )
    return _report(args, result)


def _report(args: argparse.Namespace, result: FolderResult) -> int:
    """Tell what became of two folders, and return the exit code."""
    for stem, reason in result.failed.items():
        print(f"failed: {stem}: {reason}", file=sys.stderr)
    if args.json:
        failed = [{"stem": stem, "reason": reason} for stem, reason in result.failed.items()]
        print(json.dumps({**asdict(result), "failed": failed, "output": str(args.output)}))
    else:
        print(_summary(result, args.output))
    if result.interrupted:
        return INTERRUPTED
    return 1 if result.failed or result.stopped else 0


def _summary(result: FolderResult, output: Path) -> str:
    parts = [f"fused {result.fused}", f"skipped {result.skipped}", f"failed {len(result.failed)}"]
    line = f"{', '.join(parts)} of {result.total} in {result.seconds:.1f} s -> {output}"
    if result.ignored_files:
        line += f"; ignored {result.ignored_files} files that are not PNG, JPEG, WebP or TIFF"
    if result.interrupted:
        line += "; interrupted: run it again to do the rest"
    if result.stopped:
        line += f"; stopped: {result.stopped}"
    return line
