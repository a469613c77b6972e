"""The options of `crossfuse bench`, one function per action."""

from __future__ import annotations

import argparse
from pathlib import Path

from crossfuse.bundles import DEFAULT_MODEL, PRECISIONS
from crossfuse.cli.server_options import add_server_arguments
from crossfuse.engines import DEVICES
from crossfuse.images import ENCODINGS

TRAVELS = ("raw", *ENCODINGS)


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Options of `bench engine`."""
    _add_model(parser)
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default: %(default)s")
    parser.add_argument(
        "--batch", default="1", metavar="N[,N...]", help="pairs per call (default: %(default)s)"
    )
    parser.add_argument(
        "--precision", default="auto", metavar="P[,P...]",
        help=f"auto, {', '.join(PRECISIONS)} (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--threads", default="", metavar="N[,N...]", help="processors to use (default: all)"
    )
    parser.add_argument(
        "--rivals", default="average,laplacian_pyramid,tile_loop", metavar="NAME[,NAME...]",
        help="what is measured beside it: average, laplacian_pyramid, tile_loop (the published "
        "network as its authors run it), eager, compiled, FILE.onnx; empty: nothing "
        "(default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--processes", type=int, default=3, help="fresh processes per case (default: %(default)s)"
    )
    parser.add_argument(
        "--seconds", type=float, default=15.0,
        help="of calls, for all cases together (default: %(default)s)",
    )  # fmt: skip


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Options of `bench serve`."""
    _add_model(parser)
    add_server_arguments(parser)
    parser.add_argument(
        "--concurrency", default="1,2,4", metavar="N[,N...]",
        help="callers of the closed loops (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--rate", default="", metavar="R[,R...]",
        help="calls per second of the open loops (default: 50 and 80 %% of the best closed loop)",
    )  # fmt: skip
    parser.add_argument(
        "--arrivals", default="constant,poisson", metavar="LAW[,LAW]",
        help="of open loops: constant as of cameras, poisson as of callers (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--mode", default="unary,stream", metavar="MODE[,MODE]",
        help="of open loops: unary, stream (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--encoding", default="raw", metavar="E[,E...]",
        help=f"how pictures travel: {', '.join(TRAVELS)} (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--seconds", type=float, default=3.0, help="of every row (default: %(default)s)"
    )
    parser.add_argument(
        "--search", type=float, default=12.0, metavar="SECONDS",
        help="for finding the highest rates with p99 within 33.3 and 16.7 ms; 0: only the rates "
        "of --rate tell (default: %(default)s)",
    )  # fmt: skip


def add_video(parser: argparse.ArgumentParser) -> None:
    """Options of `bench video`."""
    for side in ("ir", "vis"):
        parser.add_argument(
            f"--{side}", default="synthetic", metavar="SRC",
            help="as in `crossfuse video` (default: %(default)s)",
        )  # fmt: skip
    add_server_arguments(parser)
    parser.add_argument("--model", default=DEFAULT_MODEL, help="default: %(default)s")
    parser.add_argument(
        "--streams", default="1,2", metavar="N[,N...]", help="at once (default: %(default)s)"
    )
    parser.add_argument(
        "--frames", type=int, default=100, help="of every stream (default: %(default)s)"
    )
    _add_output(parser)


def add_join(parser: argparse.ArgumentParser) -> None:
    """Options of `bench join`."""
    parser.add_argument(
        "reports", type=Path, nargs="+", metavar="REPORT", help="report.json, or its folder"
    )
    _add_output(parser)


def add_compare(parser: argparse.ArgumentParser) -> None:
    """Options of `bench compare`."""
    parser.add_argument("before", type=Path, metavar="A", help="report.json, or its folder")
    parser.add_argument("after", type=Path, metavar="B", help="the one that may be slower")
    parser.add_argument(
        "--threshold", type=float, default=10.0, metavar="PERCENT",
        help="slower by less is no regression (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--times", action="store_true",
        help="compare times, not their ratios to a fixed piece of work that was timed among them; "
        "for machines that are quiet",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the comparison as JSON")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model", default=DEFAULT_MODEL, help="name, bundle or .onnx file (default: %(default)s)"
    )
    parser.add_argument(
        "--size", default="480x640", metavar="HxW[,HxW...]", help="default: %(default)s"
    )
    _add_output(parser)


def _add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="folder of the report"
    )
    parser.add_argument("--json", action="store_true", help="print report.json on stdout")
