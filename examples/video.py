"""Fuse an infrared and a visible video into one, and say how it went.

python examples/video.py ir.mp4 vis.mp4 fused.mp4
"""

import sys

from crossfuse.video import FusedPair, VideoOptions, fuse_streams


def show(pair: FusedPair) -> None:
    print(f"{pair.pair.position / 1e6:6.2f} s  mean {pair.fused.mean():.1f}", end="\r")


infrared, visible, output = sys.argv[1:]
options = VideoOptions(layout="side-by-side", overlay=True, overwrite=True)
summary = fuse_streams(infrared, visible, output, options=options, on_frame=show)
print()
print(summary.to_text())
