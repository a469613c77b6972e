"""Score fusion methods on two folders of source pictures and write a report.

Methods are folders of fused pictures (--fused), models run in this process (--model), running
servers (--server) and training checkpoints (--checkpoint); the simple rules average, maximum and
laplacian_pyramid always stand beside them. Pictures are paired by stem. Into the output folder go
per_image.csv, summary.json, report.md and report.html; what was there under these names is
replaced. Pictures that are missing, unreadable, of another size or constant are listed, and the
exit code is then 1.

Each of --fused, --model, --server, --checkpoint and --detections may be given several times, and
with a name of its own: NAME=VALUE.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tqdm import tqdm

from crossfuse.cli.infrared_options import add_infrared_arguments
from crossfuse.cli.model_options import add_engine_arguments, open_engine
from crossfuse.errors import InvalidInput, MissingDependency
from crossfuse.evaluation import (
    Evaluation,
    Method,
    PictureFolder,
    SceneReader,
    evaluate,
    folder_method,
    live_method,
    score_detections,
    summary,
    write_reports,
)
from crossfuse.evaluation.wording import counted, mean_rank, number
from crossfuse.fuser import Fuser
from crossfuse.metrics import PROFILES
from crossfuse.output_folder import make_output_folder

EXAMPLE = (
    "  crossfuse evaluate --ir msrs/ir --vis msrs/vis --fused theirs=out/a --fused ours=out/b "
    "-o report\n"
    "  crossfuse evaluate --ir msrs/ir --vis msrs/vis --model crossfuse-rt "
    "--server localhost:8001 -o report --json"
)

# What a terminal is wide enough for; the reports have them all.
PRINTED_METRICS = 9


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--ir", type=Path, required=True, metavar="DIR", help="infrared pictures")
    parser.add_argument("--vis", type=Path, required=True, metavar="DIR", help="visible pictures")
    parser.add_argument(
        "--fused", nargs="+", action="extend", default=[], metavar="[NAME=]DIR",
        help="fused pictures of a method (default name: the folder's)",
    )  # fmt: skip
    parser.add_argument(
        "--model", nargs="+", action="extend", default=[], metavar="[NAME=]MODEL",
        help="a model to run: name, name:version, bundle folder or .onnx file",
    )  # fmt: skip
    parser.add_argument(
        "--server", nargs="+", action="extend", default=[], metavar="[NAME=]HOST:PORT[/MODEL]",
        help="a running server and, if not its default, the model to ask for",
    )  # fmt: skip
    parser.add_argument(
        "--checkpoint", nargs="+", action="extend", default=[], metavar="[NAME=]DIR",
        help="a training checkpoint, run with PyTorch on luma alone",
    )  # fmt: skip
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the report"
    )
    parser.add_argument(
        "--profile", choices=tuple(PROFILES), default="cddfuse",
        help="definitions of the metrics (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--detections", nargs="+", action="extend", default=[], metavar="[NAME=]FILE",
        help="COCO detections on a method's pictures (default name: the file's)",
    )  # fmt: skip
    parser.add_argument(
        "--ground-truth", type=Path, metavar="FILE", help="COCO ground truth of the detections"
    )
    parser.add_argument("--json", action="store_true", help="print the summary as JSON on stdout")
    add_infrared_arguments(parser)
    add_engine_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Score, write the reports, and say in short what came out."""
    reader = _reader(args)
    if bool(args.detections) != (args.ground_truth is not None):
        given, missing = ("--detections", "--ground-truth")[:: 1 if args.detections else -1]
        raise InvalidInput(missing, "nothing", f"at least one file, since {given} is given")
    if args.threads is not None and args.threads < 1:
        raise InvalidInput("--threads", str(args.threads), "a number from 1")
    with ExitStack() as stack:
        methods = list(_methods(args, reader, stack))
        if not methods:
            raise InvalidInput(
                "method", "nothing to score", "--fused, --model, --server or --checkpoint"
            )
        detections = []
        if args.detections:
            detections = score_detections(args.ground_truth, _detections(args.detections))
        make_output_folder(args.output)
        with tqdm(unit="scene", disable=None, file=sys.stderr) as bar:

            def show_progress(done: int, total: int) -> None:
                bar.total = total
                bar.update(done - bar.n)

            evaluation = evaluate(
                reader,
                methods,
                args.output,
                profile=args.profile,
                workers=args.threads,
                progress=show_progress,
            )
        write_reports(evaluation, detections, args.output)
    for problem in evaluation.problems:
        of = f" ({problem.method})" if problem.method else ""
        print(f"problem: {problem.image}{of}: {problem.reason}", file=sys.stderr)
    if args.json:
        print(json.dumps(summary(evaluation, detections), allow_nan=False))
    else:
        print(_overview(evaluation, args.output))
    return 1 if evaluation.problems else 0


def _reader(args: argparse.Namespace) -> SceneReader:
    return SceneReader(
        PictureFolder("--ir", args.ir),
        PictureFolder("--vis", args.vis),
        mapping=args.ir_mapping,
        polarity=args.ir_polarity,
        palette=args.ir_palette,
        max_pixels=args.max_pixels,
    )


def _methods(args: argparse.Namespace, reader: SceneReader, stack: ExitStack) -> Iterator[Method]:
    """The methods the options name, in the order folders, models, servers, checkpoints."""
    for text in args.fused:
        name, value = _named("--fused", text)
        path = Path(value)
        yield folder_method(name or path.resolve().name, path, max_pixels=args.max_pixels)
    for text in args.model:
        name, value = _named("--model", text)
        fuser = stack.enter_context(Fuser(open_engine(args, value), max_pixels=args.max_pixels))
        engine = fuser.engine.describe()
        source = f"{engine.name}:{engine.version}, {engine.precision} on {engine.device}"
        default = engine.name if "/" in value or value.endswith(".onnx") else value
        yield live_method(
            name or default, "model", source, fuser,
            mapping=reader.mapping, polarity=reader.polarity,
        )  # fmt: skip
    for text in args.server:
        yield _server_method(text, reader, stack, args.max_pixels)
    for text in args.checkpoint:
        name, value = _named("--checkpoint", text)
        path = Path(value)
        yield _checkpoint_method(name or path.resolve().name, path, args.threads)


def _checkpoint_method(name: str, folder: Path, threads: int | None) -> Method:
    try:
        from crossfuse_training.checkpoint_method import checkpoint_method
    except ImportError as error:
        raise MissingDependency(error.name or "torch", "--checkpoint", "train") from None
    return checkpoint_method(name, folder, threads=threads)


def _server_method(text: str, reader: SceneReader, stack: ExitStack, max_pixels: int) -> Method:
    from crossfuse.evaluation.servers import ServedModel

    name, value = _named("--server", text)
    target, _, model = value.partition("/")
    served = stack.enter_context(ServedModel(target, model, max_pixels=max_pixels))
    return live_method(
        name or f"{served.reference}@{target}", "server", f"{served.reference} at {target}", served,
        mapping=reader.mapping, polarity=reader.polarity,
    )  # fmt: skip


def _detections(texts: list[str]) -> list[tuple[str, Path]]:
    """Names and files; names are their own, as those of methods are."""
    files: dict[str, Path] = {}
    for text in texts:
        name, value = _named("--detections", text)
        name = name or Path(value).stem
        if name in files:
            raise InvalidInput(
                "--detections",
                f"{name!r} for {files[name]} and for {value}",
                "a name of its own for each (NAME=FILE)",
            )
        files[name] = Path(value)
    return list(files.items())


def _named(option: str, text: str) -> tuple[str, str]:
    """Name, empty if not given, and value; a path with `=` in it that exists is no name."""
    name, sign, value = text.partition("=")
    if not sign or Path(text).exists():
        return "", text
    if not name or not value:
        raise InvalidInput(option, repr(text), "NAME=VALUE, or the value alone")
    return name, value


def _overview(evaluation: Evaluation, output: Path) -> str:
    metrics = evaluation.table.metrics[:PRINTED_METRICS]
    standings = evaluation.standings.methods
    width = max(len(standing.method.name) for standing in standings) + 2
    lines = [f"{'':<{width}}{'mean rank':>10}" + "".join(f"{name:>9}" for name in metrics)]
    for standing in standings:
        means = "".join(f"{number(standing.cells[name].mean):>9}" for name in metrics)
        lines.append(f"{standing.method.name:<{width}}{mean_rank(standing.mean_rank):>10}{means}")
    pictures = counted(len(evaluation.table.images), "picture")
    problems = counted(len(evaluation.problems), "problem")
    lines.append(
        f"{pictures}, profile {evaluation.profile}, {problems} -> {output / 'report.html'}"
    )
    return "\n".join(lines)
