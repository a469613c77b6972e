"""Fuse two video streams: files, folders of frames, cameras, network streams.

Sources are a video file, a folder of pictures (in natural order; 16-bit infrared too), a camera
index like 0, an rtsp:// or http:// address, or synthetic[:SEED]. Of two files of equal rate and
length every pair is fused; live sources keep only the newest frames, are opened again when they
are lost, and pair by time. Outputs are .mp4 files (H.264 where PyAV is installed, else MPEG-4),
folders of PNG files, http://HOST:PORT to watch in a browser, or rtsp:// of a server. An .mp4 can be
played at every moment, whatever ends the program.

Cameras that do not line up need --rig with the file that `crossfuse calibrate` writes. Ctrl-C
ends the work and finishes the output. The exit code is 1 where a source was lost, a frame could
not be fused or an output could not be written.
"""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tqdm import tqdm

from crossfuse.cli import INTERRUPTED
from crossfuse.cli.infrared_options import add_camera_arguments
from crossfuse.cli.model_options import add_model_arguments, open_engine
from crossfuse.cli.server_options import add_server_arguments, open_client
from crossfuse.errors import InvalidInput
from crossfuse.fuser import Fuser
from crossfuse.video import FusedPair, VideoOptions, VideoSummary, fuse_streams
from crossfuse.video.heap import share_one_heap
from crossfuse.video.layout import LAYOUTS
from crossfuse.video.pairing import POLICIES
from crossfuse.video.sinks import ENCODERS
from crossfuse.video.sources import DECODERS

EXAMPLE = (
    "  crossfuse video --ir ir.mp4 --vis vis.mp4 -o fused.mp4\n"
    "  crossfuse video --ir 1 --vis rtsp://camera/stream --rig rig.json -o http://0.0.0.0:8080"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--ir", required=True, metavar="SRC", help="infrared source")
    parser.add_argument("--vis", required=True, metavar="SRC", help="visible source")
    parser.add_argument(
        "-o", "--output", action="append", default=[], metavar="OUT",
        help="where to; may be given several times",
    )  # fmt: skip
    parser.add_argument("--preview", action="store_true", help="show the output in a window")
    parser.add_argument("--overwrite", action="store_true", help="replace outputs that exist")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON on stdout")
    _add_picture_arguments(parser)
    _add_pairing_arguments(parser)
    _add_source_arguments(parser)
    add_model_arguments(parser)
    add_server_arguments(parser)


def _add_picture_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rig", type=Path, metavar="FILE", help="alignment of the two cameras")
    parser.add_argument("--crop", action="store_true", help="keep only what both cameras see")
    parser.add_argument("--layout", choices=LAYOUTS, default="fused", help="default: %(default)s")
    parser.add_argument(
        "--overlay", action="store_true", help="write rate, delay, drops and model into the picture"
    )
    add_camera_arguments(parser)


def _add_pairing_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--policy", choices=POLICIES,
        help="for a frame without partner: wait for it, repeat the other source's last frame, or "
        "drop it (default: wait for recordings, drop for live sources)",
    )  # fmt: skip
    parser.add_argument(
        "--tolerance", type=float, metavar="MS",
        help="how far apart the frames of a pair may be (default: half a frame)",
    )  # fmt: skip
    parser.add_argument(
        "--offset", type=float, metavar="MS",
        help="added to infrared times it gives visible ones (default: that of the rig, or 0)",
    )  # fmt: skip
    parser.add_argument(
        "--max-wait", type=float, default=0.2, metavar="S",
        help="how long a live frame waits for its partner (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--deadline", type=float, metavar="S", help="live frames older than this are not fused"
    )
    parser.add_argument("--max-frames", type=int, metavar="N", help="end after so many pairs")


def _add_source_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fps", type=float, help="rate of sources that are folders (default: 25)")
    parser.add_argument("--decoder", choices=DECODERS, default="auto", help="default: %(default)s")
    parser.add_argument("--encoder", choices=ENCODERS, default="auto", help="default: %(default)s")
    parser.add_argument("--hardware", action="store_true", help="decode in hardware if possible")
    parser.add_argument("--no-sound", action="store_true", help="do not copy the visible sound")
    parser.add_argument(
        "--timeout", type=float, default=5.0, metavar="S",
        help="in which a live source must open and give its next frame (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--reconnect", type=float, default=60.0, metavar="S",
        help="for which a lost source or server is tried again (default: %(default)s)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Fuse, print the summary, and say by the exit code how it went."""
    if not args.output and not args.preview:
        raise InvalidInput("output", "none", "-o OUT, or --preview")
    options = VideoOptions(
        policy=args.policy,
        tolerance_ms=args.tolerance,
        offset_ms=args.offset,
        max_wait=args.max_wait,
        deadline=args.deadline,
        reconnect=args.reconnect,
        crop=args.crop,
        layout=args.layout,
        overlay=args.overlay,
        preview=args.preview,
        overwrite=args.overwrite,
        ir_mapping=args.ir_mapping,
        ir_polarity=args.ir_polarity,
        ir_palette=args.ir_palette,
        fps=args.fps,
        decoder=args.decoder,
        encoder=args.encoder,
        timeout=args.timeout,
        hardware=args.hardware,
        sound=not args.no_sound,
        max_frames=args.max_frames,
    )
    share_one_heap()
    with ExitStack() as stack:
        stop = stack.enter_context(_stopped_by_signals())
        progress = stack.enter_context(tqdm(unit="pair", disable=None, file=sys.stderr))
        fuser = client = None
        if args.server is not None:
            client = stack.enter_context(open_client(args))
        else:
            fuser = stack.enter_context(Fuser(open_engine(args, args.model)))

        def start(total: int | None) -> None:
            progress.reset(total)

        def count(pair: FusedPair) -> None:
            progress.update()

        summary = fuse_streams(
            args.ir,
            args.vis,
            args.output,
            fuser=fuser,
            client=client,
            model=args.model,
            rig=args.rig,
            options=options,
            on_start=start,
            on_frame=count,
            stop=stop,
        )
    print(summary.to_json() if args.json else summary.to_text())
    return _exit_code(summary)


def _exit_code(summary: VideoSummary) -> int:
    if summary.interrupted:
        return INTERRUPTED
    return 1 if summary.problems or summary.failed or not summary.fused else 0


@contextmanager
def _stopped_by_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set; a second Ctrl-C ends the program at once."""
    stop = threading.Event()

    def handle(number: int, frame: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
