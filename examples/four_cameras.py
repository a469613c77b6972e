"""Fuse several pairs of cameras at once with one model; Ctrl-C ends them all.

python examples/four_cameras.py front:rtsp://10.0.0.1/ir,rtsp://10.0.0.1/vis gate:ir.mp4,vis.mp4 ...

Each pair is written to NAME.mp4. A rig that `crossfuse calibrate` wrote is taken from NAME.json
where there is one. The streams share the model fairly; live ones drop their oldest frames.
"""

import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import crossfuse
from crossfuse.video import VideoOptions, VideoSummary, fuse_streams, share_one_heap

share_one_heap()
fuser = crossfuse.load("crossfuse-rt")
stop = threading.Event()
signal.signal(signal.SIGINT, lambda *_: stop.set())


def run(camera: str) -> tuple[str, VideoSummary]:
    """One pair of cameras, from its words on the command line."""
    name, _, sources = camera.partition(":")
    ir, vis = sources.split(",")
    rig = Path(f"{name}.json")
    summary = fuse_streams(
        ir,
        vis,
        f"{name}.mp4",
        fuser=fuser,
        rig=rig if rig.exists() else None,
        options=VideoOptions(overwrite=True),
        stop=stop,
    )
    return name, summary


with ThreadPoolExecutor(len(sys.argv[1:]) or 1) as cameras:
    for name, summary in cameras.map(run, sys.argv[1:]):
        dropped = sum(summary.dropped.values())
        print(f"{name}: {summary.written} frames, {dropped} dropped, {summary.rate:.1f} a second")
