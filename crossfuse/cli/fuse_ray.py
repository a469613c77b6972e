"""`crossfuse fuse --ray`: two folders, paired by stem, fused by the machines of a Ray cluster.

Each actor holds the model and does with a pair what the command does on one machine, so the
pictures are the same bytes. Folders must be under the same path on every machine, or in a store.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from crossfuse.bundles import DEFAULT_MODEL, resolve_model
from crossfuse.cli.folders import FolderResult, Pair, match_folders
from crossfuse.cli.stored_folders import StoredPath, as_folder, read_any, write_any
from crossfuse.engines import load_engine, precision_choices
from crossfuse.errors import CrossFuseError, InvalidInput, MissingDependency, OutputError
from crossfuse.fuser import Fuser
from crossfuse.images import decode_infrared, decode_visible, encode
from crossfuse.output_folder import make_output_folder

# Pairs that are handed out together; what an actor that is lost had is done again.
PAIRS_PER_BLOCK = 8


def fuse_folders_with_ray(args: argparse.Namespace) -> FolderResult:
    """Fuse every pair that is not there yet; a pair that fails does not stop the others."""
    if args.server is not None:
        raise InvalidInput("--ray", "--ray beside --server", "one of them")
    folders = {name: as_folder(getattr(args, name)) for name in ("ir", "vis")}
    for name, folder in folders.items():
        if not folder.is_dir():
            raise InvalidInput(f"--{name}", str(folder), "a folder; --ray is for two folders")
    output = as_folder(args.output)
    if isinstance(output, StoredPath):
        output.make()
    else:
        make_output_folder(output)
    result = FolderResult()
    pairs = match_folders(folders["ir"], folders["vis"], output, result)
    result.total = len(pairs) + len(result.failed)
    done = set() if args.overwrite else {path.name for path in output.iterdir()}
    todo = [pair for pair in pairs if pair.output.name not in done]
    result.skipped = len(pairs) - len(todo)
    model = _found(args)
    started = time.perf_counter()
    if todo:
        _run(args, model, todo, result)
    result.seconds = time.perf_counter() - started
    return result


def _found(args: argparse.Namespace) -> Path:
    """The file of the model: told here when there is none, and found by machines elsewhere."""
    device = "cpu" if args.device == "auto" else args.device
    precisions = precision_choices(args.precision, device)
    return resolve_model(args.model or DEFAULT_MODEL, precisions, args.models).path.absolute()


def _run(args: argparse.Namespace, model: Path, todo: list[Pair], result: FolderResult) -> None:
    progress = tqdm(total=len(todo), unit="pair", disable=None, file=sys.stderr)
    with progress:
        try:
            for row in _rows(args, model, todo):
                progress.update()
                if row["stops"]:
                    result.stopped = row["reason"]
                    return
                if row["reason"]:
                    result.failed[row["stem"]] = row["reason"]
                else:
                    result.fused += 1
        except KeyboardInterrupt:
            result.interrupted = True


def _rows(args: argparse.Namespace, model: Path, todo: list[Pair]) -> Iterator[dict[str, Any]]:
    """What became of each pair, as it is known."""
    # Told by ourselves; must be set before Ray is imported.
    os.environ.setdefault("RAY_DATA_DISABLE_PROGRESS_BARS", "1")
    try:
        import ray
    except ImportError:
        raise MissingDependency("ray", "fusing with a cluster", "ray") from None
    begun_here = not ray.is_initialized()
    if begun_here:
        ray.init(log_to_driver=False, logging_level="error")
    try:
        ray.data.DataContext.get_current().enable_progress_bars = False
        resources = ray.cluster_resources()
        gpus = args.device in ("cuda", "tensorrt") or (
            args.device == "auto" and resources.get("GPU", 0) >= 1
        )
        threads = args.threads or 1
        most = int(resources.get("GPU", 0) if gpus else resources["CPU"] // threads)
        rows = ray.data.from_items(
            [{"stem": p.stem, "ir": str(p.ir), "vis": str(p.vis), "output": str(p.output)}
             for p in todo],
            override_num_blocks=-(-len(todo) // PAIRS_PER_BLOCK),
        )  # fmt: skip
        fused = rows.map(
            PairFuser,
            fn_constructor_args=(args, model, threads),
            compute=ray.data.ActorPoolStrategy(min_size=1, max_size=max(1, most)),
            num_cpus=threads,
            num_gpus=1 if gpus else 0,
        )
        yield from fused.iter_rows()
    finally:
        if begun_here:
            ray.shutdown()


class PairFuser:
    """An actor of Ray Data: holds the model and fuses one pair after another."""

    def __init__(self, args: argparse.Namespace, model: Path, threads: int) -> None:
        self._args = args
        engine = load_engine(model, device=args.device, precision=args.precision, threads=threads)
        self._fuser = Fuser(engine, max_pixels=args.max_pixels)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Fuse a pair; `reason` says why it could not be, `stops` whether no other could be."""
        outcome = {"stem": row["stem"], "reason": "", "stops": False}
        try:
            self._fuse(*(as_folder(Path(row[name])) for name in ("ir", "vis", "output")))
        except OutputError as error:
            outcome.update(reason=str(error), stops=True)
        except CrossFuseError as error:
            outcome.update(reason=str(error))
        return outcome

    def _fuse(self, ir: Path, vis: Path, output: Path) -> None:
        args = self._args
        most = args.max_pixels
        infrared = decode_infrared(
            read_any(ir), field=str(ir), max_pixels=most, palette=args.ir_palette
        )
        visible = decode_visible(read_any(vis), field=str(vis), max_pixels=most)
        fused = self._fuser.fuse(
            infrared, visible, ir_mapping=args.ir_mapping, ir_polarity=args.ir_polarity
        )
        write_any(output, encode(fused, "png"))
