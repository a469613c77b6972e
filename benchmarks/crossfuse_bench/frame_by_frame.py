"""How much a model flickers that fuses every frame of a clip on its own.

    python -m crossfuse_bench.frame_by_frame --ir IR.mp4 --vis VIS.mp4 --model crossfuse-rt

`crossfuse video` takes back the jumps of the infrared camera's gain; this is without that.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

import crossfuse
from crossfuse.arrays import UInt8Array
from crossfuse.fuser import Fuser
from crossfuse.video.flicker import FlickerMeter


def flicker(model: Fuser, ir: Path, vis: Path) -> tuple[int, float | None]:
    """Frames that both clips have, and the flicker as `crossfuse video` measures it."""
    meter, count = FlickerMeter(), 0
    for infrared, visible in zip(frames(ir), frames(vis), strict=False):
        grey = np.asarray(cv2.cvtColor(infrared, cv2.COLOR_RGB2GRAY), np.uint8)
        meter.add(model.fuse(grey, visible), visible)
        count += 1
    return count, meter.ratio


def frames(path: Path) -> Iterator[UInt8Array]:
    """The frames of a clip, uint8 HxWx3 RGB."""
    capture = cv2.VideoCapture(str(path))
    if not capture.isOpened():
        raise SystemExit(f"{path}: got no clip that can be opened; valid: a video file")
    while True:
        good, frame = capture.read()
        if not good:
            return
        yield np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), np.uint8)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--ir", type=Path, required=True, metavar="FILE")
    parser.add_argument("--vis", type=Path, required=True, metavar="FILE")
    parser.add_argument("--model", required=True)
    given = parser.parse_args(arguments)
    with crossfuse.load(given.model, device="cpu") as model:
        count, found = flicker(model, given.ir, given.vis)
    said = "unknown: too few frames, or a visible stream that does not change"
    print(
        f"{given.model}, {count} frames fused one by one: flicker "
        f"{said if found is None else f'{found:.2f}'}"
    )


if __name__ == "__main__":
    main()
