"""A frame on which the shipped models fail, as one picture: visible, infrared, base, rt.

python -m crossfuse_bench.failure_pictures --ir IR.mp4 --vis VIS.mp4 --frame 300 -o FILE.jpg
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

import crossfuse
from crossfuse.arrays import UInt8Array
from crossfuse.images import encode, write_file
from crossfuse_bench.frame_by_frame import frames
from crossfuse_bench.shipped_models import STUDENT, TEACHER

_GAP = 8


def sheet(visible: UInt8Array, infrared: UInt8Array, *fused: UInt8Array) -> UInt8Array:
    """Four pictures uint8 HxWx3 of one size, two beside each other, with white between them."""
    pictures = [
        np.pad(picture, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255)
        for picture in (visible, infrared, *fused)
    ]
    rows = [np.hstack(pictures[start : start + 2]) for start in (0, 2)]
    return np.vstack(rows)[:-_GAP, :-_GAP]


def main(arguments: Sequence[str] | None = None) -> None:
    """Fuse the frame with both models and write the picture."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ir", type=Path, required=True, metavar="FILE")
    parser.add_argument("--vis", type=Path, required=True, metavar="FILE")
    parser.add_argument("--frame", type=int, required=True, metavar="N", help="counted from 0")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.jpg")
    given = parser.parse_args(arguments)
    infrared, visible = (
        next(islice(frames(clip), given.frame, None), None) for clip in (given.ir, given.vis)
    )
    if infrared is None or visible is None:
        parser.error(f"--frame: got {given.frame}; valid: a frame that both clips have")
    grey = np.asarray(cv2.cvtColor(infrared, cv2.COLOR_RGB2GRAY), np.uint8)
    fused = []
    for name in (TEACHER, STUDENT):
        with crossfuse.load(name, device="cpu", precision="fp32") as model:
            fused.append(model.fuse(grey, visible))
    write_file(given.output, encode(sheet(visible, infrared, *fused), "jpeg"))


if __name__ == "__main__":
    main()
