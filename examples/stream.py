"""Send two folders of frames through one stream of a server, several frames under way at once.

python examples/stream.py localhost:8001 ir/ vis/ fused/
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

import crossfuse


def pairs(ir: Path, vis: Path) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Both folders in the order of their names: infrared HxW, visible HxWx3 RGB."""
    for ir_path, vis_path in zip(sorted(ir.iterdir()), sorted(vis.iterdir()), strict=True):
        thermal = cv2.imread(str(ir_path), cv2.IMREAD_ANYDEPTH)
        colour = cv2.imread(str(vis_path))
        if thermal is None or colour is None:
            raise SystemExit(f"{ir_path} or {vis_path} is no picture")
        yield thermal, cv2.cvtColor(colour, cv2.COLOR_BGR2RGB)


server = sys.argv[1]
ir, vis, output = map(Path, sys.argv[2:])
output.mkdir(exist_ok=True)
with crossfuse.FusionClient(server) as client:
    # Answers come in the order of the frames, each exactly once: a picture, or why there is none.
    for result in client.stream(pairs(ir, vis)):
        if result.image is None or result.timings is None:
            print(f"{result.frame_id}: {result.error or result.dropped}", file=sys.stderr)
            continue
        picture = cv2.cvtColor(result.image, cv2.COLOR_RGB2BGR)
        cv2.imwrite(str(output / f"{result.frame_id:06d}.png"), picture)
        print(f"{result.frame_id}: {result.timings.infer_us / 1e3:.1f} ms in the model")
