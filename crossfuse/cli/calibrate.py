"""Measure how an infrared camera stands to a visible one, and write a rig file for `video`.

Sources are recordings of the two cameras on their rig (files or folders of frames), or the cameras
themselves. Without further options everything is found from what both see: a scene with texture,
far away, and something that moves, for ten seconds or more. --points takes a CSV file of points
that correspond (ir_x,ir_y,vis_x,vis_y); --chessboard takes recordings of a heated board.

The rig holds the homography, the time offset and how good both are. A rig that cannot be trusted
is refused with the reason, and nothing is written (exit code 1). --pictures writes overlays to
look at.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from crossfuse.calibration import (
    calibrate_automatically,
    calibrate_from_chessboard,
    calibrate_from_points,
    read_recordings,
)
from crossfuse.calibration.pictures import checkerboard, edges
from crossfuse.calibration.recordings import MOST_FRAMES, WIDTH, Recording
from crossfuse.cli.infrared_options import add_mapping_arguments
from crossfuse.errors import InvalidInput
from crossfuse.images import encode, write_file
from crossfuse.video.rig import Rig
from crossfuse.video.sinks import same_place
from crossfuse.video.sources import SourceOptions

EXAMPLE = (
    "  crossfuse calibrate --ir ir.mp4 --vis vis.mp4 -o rig.json --pictures check\n"
    "  crossfuse calibrate --ir ir.png --vis vis.png --points clicked.csv -o rig.json"
)

BOARD_FRAMES = 40
BOARD_WIDTH = 1280


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--ir", required=True, metavar="SRC", help="infrared recording or camera")
    parser.add_argument("--vis", required=True, metavar="SRC", help="visible recording or camera")
    parser.add_argument("-o", "--output", type=Path, required=True, help="the rig file, .json")
    parser.add_argument("--overwrite", action="store_true", help="replace a rig file that exists")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="write overlays into a folder")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--points", type=Path, metavar="CSV", help="points that correspond")
    way.add_argument(
        "--chessboard", metavar="CxR", help="inner corners of a heated board, such as 9x6"
    )
    parser.add_argument(
        "--frames", type=int, default=MOST_FRAMES, metavar="N",
        help="frames to read of each source (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--fps", type=float, help="rate of sources that are folders (default: 25)")
    add_mapping_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the rig as JSON on stdout")


def run(args: argparse.Namespace) -> int:
    """Calibrate and write."""
    board = None if args.chessboard is None else _board(args.chessboard)
    _check_output(args)
    if args.frames < 1:
        raise InvalidInput("--frames", str(args.frames), "1 or more, such as 300")
    options = SourceOptions(fps=args.fps, palette=args.ir_palette)
    frames = args.frames if board is None else min(args.frames, BOARD_FRAMES)
    width = WIDTH if board is None else BOARD_WIDTH
    ir, vis = read_recordings(
        args.ir, args.vis, options=options, mapping=args.ir_mapping, frames=frames, width=width
    )
    if board is not None:
        rig = calibrate_from_chessboard(ir, vis, board)
    elif args.points is not None:
        rig = calibrate_from_points(ir, vis, args.points)
    else:
        rig = calibrate_automatically(ir, vis)
    rig.write(args.output)
    if args.pictures is not None:
        _write_pictures(args.pictures, rig, ir, vis)
    print(json.dumps(json.loads(rig.to_json())) if args.json else _summary(rig, args.output))
    return 0


def _check_output(args: argparse.Namespace) -> None:
    output: Path = args.output
    if not output.parent.is_dir():
        raise InvalidInput("--output", str(output), f"a folder that exists; {output.parent} is not")
    if output.is_dir() or (output.exists() and not args.overwrite):
        raise InvalidInput("--output", f"{output}, which exists", "another name, or --overwrite")
    for source in (args.ir, args.vis, args.points):
        if source is not None and same_place(str(output), str(source)):
            raise InvalidInput("--output", f"{output}, which is read too", "another name")


def _board(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"([3-9]|[1-9]\d)x([3-9]|[1-9]\d)", text.lower())
    if match is None:
        raise InvalidInput("--chessboard", repr(text), "inner corners across and down, such as 9x6")
    return int(match[1]), int(match[2])


def _write_pictures(folder: Path, rig: Rig, ir: Recording, vis: Recording) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            "--pictures", f"{folder} ({error.strerror})", "a folder that can be made"
        ) from error
    number = len(vis.frames) // 2
    moment = float(vis.times[number]) - rig.time_offset_ms / 1e3
    infrared = _enlarged(ir.frames[ir.near(moment)], rig.ir_size)
    visible = _enlarged(vis.frames[number], rig.vis_size)
    for name, make in (("checkerboard", checkerboard), ("edges", edges)):
        write_file(folder / f"{name}.png", encode(make(rig, infrared, visible)))
    print(f"look at {folder / 'checkerboard.png'} and {folder / 'edges.png'}", file=sys.stderr)


def _enlarged(frame: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR), np.uint8)


def _summary(rig: Rig, output: Path) -> str:
    quality = rig.quality
    x, y, width, height = rig.valid_region
    offset = (
        "time offset not to be seen, taken as 0"
        if quality.offset_error is None
        else f"time offset {rig.time_offset_ms:.0f} ms (+-{quality.offset_error:.0f})"
    )
    return (
        f"error {quality.error:.1f} px from {quality.samples} samples ({quality.method}), "
        f"{quality.agreement:.0%} agree; {offset}; "
        f"both cameras see {width}x{height} from {x},{y} -> {output}"
    )
