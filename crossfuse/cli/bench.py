"""Measure latency and throughput, and write a report: JSON, CSV, Markdown and an HTML page.

`bench engine` measures a model in process, with its rivals beside it. `bench serve` measures a
server, one that runs (--server) or one that it starts: closed loops sweep the concurrency, open
ones make calls or send frames at a rate, whether or not the last one was answered. `bench video`
measures the chain from video sources to written files, with several streams at once. A default run
takes less than a minute. Percentiles come with 95 % intervals, and are left out, with the reason,
where there are too few calls for one. `bench join` makes one report of several, with the cost over
pixels, batch and streams. `bench compare` tells whether the second of two reports is slower than
the first one; its exit code is then 1.
"""

from __future__ import annotations

import argparse
import json
import math
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from crossfuse.bundles import PRECISIONS
from crossfuse.cli.bench_arguments import (
    TRAVELS,
    add_compare,
    add_engine,
    add_join,
    add_serve,
    add_video,
)
from crossfuse.cli.picture_size import picture_size
from crossfuse.cli.server_options import credentials
from crossfuse.errors import InvalidInput, UnknownName

if TYPE_CHECKING:
    from crossfuse_bench.report.document import Document
    from crossfuse_bench.server_address import ServerAddress

EXAMPLE = (
    "  crossfuse bench engine --model crossfuse-rt --size 480x640 -o report\n"
    "  crossfuse bench engine --size 240x320,480x640,960x1280 --precision fp32,int8 -o report\n"
    "  crossfuse bench serve --size 480x640 --concurrency 1,2,4 -o report\n"
    "  crossfuse bench serve --server localhost:8001 --rate 15,30 --seconds 30 -o report\n"
    "  crossfuse bench video --ir ir.mp4 --vis vis.mp4 --streams 1,4 -o report\n"
    "  crossfuse bench join engine serve video -o report\n"
    "  crossfuse bench compare before after"
)

Value = TypeVar("Value")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    add_engine(actions.add_parser("engine", help="a model in process, with its rivals"))
    add_serve(actions.add_parser("serve", help="a server under load"))
    add_video(actions.add_parser("video", help="sources, client, server and written files"))
    add_join(actions.add_parser("join", help="several reports as one document and one page"))
    add_compare(actions.add_parser("compare", help="whether one report is slower than another"))


def run(args: argparse.Namespace) -> int:
    """Do one action."""
    return ACTIONS[args.action](args)


def _engine(args: argparse.Namespace) -> int:
    from crossfuse.engines.devices import available_cpus
    from crossfuse_bench.engine_bench import EngineBench, available_device, run_bench

    _check_positive("--seconds", args.seconds)
    _check_positive("--processes", args.processes)
    asked = EngineBench(
        model=args.model,
        device=available_device(args.device),
        sizes=_sizes(args.size),
        batches=_numbers("--batch", args.batch),
        precisions=_names("--precision", args.precision, ("auto", *PRECISIONS)),
        threads=_numbers("--threads", args.threads or str(available_cpus())),
        rivals=[name for name in args.rivals.split(",") if name],
        processes=args.processes,
        seconds=args.seconds,
    )
    return _measure(run_bench, asked, args)


def _serve(args: argparse.Namespace) -> int:
    from crossfuse_bench.serve_bench import ServeBench, run_bench

    _check_positive("--seconds", args.seconds)
    sizes = _sizes(args.size)
    if len(sizes) > 1:
        raise InvalidInput("--size", args.size, "one size")
    if not 0 <= args.search < math.inf:
        raise InvalidInput("--search", f"{args.search:g}", "seconds, or 0 for no search")
    asked = ServeBench(
        server=_server(args),
        model=args.model,
        size=sizes[0],
        concurrency=_numbers("--concurrency", args.concurrency),
        rates=_rates(args.rate),
        arrivals=_names("--arrivals", args.arrivals, ("constant", "poisson")),
        modes=_names("--mode", args.mode, ("unary", "stream")),
        encodings=_names("--encoding", args.encoding, TRAVELS),
        seconds=args.seconds,
        search=args.search,
    )
    return _measure(run_bench, asked, args)


def _video(args: argparse.Namespace) -> int:
    from crossfuse_bench.video_bench import VideoBench, run_bench

    if args.frames < 2:
        raise InvalidInput("--frames", str(args.frames), "2 or more")
    asked = VideoBench(
        ir=args.ir,
        vis=args.vis,
        server=_server(args),
        model=args.model,
        streams=_numbers("--streams", args.streams),
        frames=args.frames,
    )
    return _measure(run_bench, asked, args)


def _join(args: argparse.Namespace) -> int:
    from crossfuse_bench.report.document import read_report, write_files
    from crossfuse_bench.report.joined import joined

    found = joined([read_report(path) for path in args.reports], _command())
    return _say(write_files(found, args.output), args)


def _compare(args: argparse.Namespace) -> int:
    from crossfuse_bench.compare import as_json, compare, remarks, sentence
    from crossfuse_bench.report.document import read_report

    _check_positive("--threshold", args.threshold)
    reports = read_report(args.before), read_report(args.after)
    found = compare(*reports, args.threshold / 100, times=args.times)
    said = remarks(*reports)
    if args.json:
        print(json.dumps(as_json(found, said), allow_nan=False))
    else:
        print("\n".join([*map(sentence, found), *said]))
    return int(any(each.verdict == "slower" for each in found))


ACTIONS = {
    "engine": _engine,
    "serve": _serve,
    "video": _video,
    "join": _join,
    "compare": _compare,
}


def _measure(
    run_bench: Callable[[Value, str, Callable[[str], None]], Document],
    asked: Value,
    args: argparse.Namespace,
) -> int:
    from crossfuse_bench.report.document import check_folder, write_report

    # Minutes of measuring are lost where this is found out at the end.
    check_folder(args.output)
    return _say(write_report(run_bench(asked, _command(), _progress), args.output), args)


def _say(found: dict[str, Any], args: argparse.Namespace) -> int:
    from crossfuse_bench.report.markdown import sentences

    if args.json:
        print(json.dumps(found, allow_nan=False))
        return 0
    for row in found["rows"]:
        print(_line(row))
    print("\n".join(sentences(found["extra"])))
    print(f"-> {args.output / 'report.html'}")
    return 0


def _line(row: dict[str, Any]) -> str:
    from crossfuse_bench.report.cells import conditions, remarks

    name = f"{row['name']} ({row['kind']}), {conditions(row)}"
    if not row["measured"]:
        return f"{name}: {row['reason']}"
    values = ", ".join(
        f"{key} {'-' if row[key] is None else format(row[key], '.4g')}"
        for key in ("p50", "p90", "p99")
    )
    return f"{name}: {values} ms, {row['throughput']:.4g}/s; {remarks(row)}"


def _server(args: argparse.Namespace) -> ServerAddress:
    from crossfuse_bench.server_address import ServerAddress

    return ServerAddress(args.server or "", **credentials(args))


def _command() -> str:
    return shlex.join(["crossfuse", *sys.argv[1:]])


def _progress(text: str) -> None:
    print(text, file=sys.stderr)


def _sizes(text: str) -> list[tuple[int, int]]:
    return _each(text, picture_size)


def _numbers(option: str, text: str) -> list[int]:
    def number(part: str) -> int:
        if not re.fullmatch(r"[1-9]\d{0,5}", part):
            raise InvalidInput(option, repr(part), "numbers from 1, with commas between them")
        return int(part)

    return _each(text, number)


def _rates(text: str) -> list[float]:
    def rate(part: str) -> float:
        if not re.fullmatch(r"\d{1,6}(\.\d{1,6})?", part) or not float(part):
            raise InvalidInput("--rate", repr(part), "calls per second, such as 30 or 7.5,15")
        return float(part)

    return _each(text, rate) if text else []


def _names(option: str, text: str, valid: Sequence[str]) -> list[str]:
    def name(part: str) -> str:
        if part not in valid:
            raise UnknownName(option, part, valid)
        return part

    return _each(text, name)


def _each(text: str, read: Callable[[str], Value]) -> list[Value]:
    return [read(part.strip()) for part in text.split(",")]


def _check_positive(option: str, value: float) -> None:
    if not 0 < value < math.inf:
        raise InvalidInput(option, f"{value:g}", "a number above 0")
