"""Fuse one pair of pictures in this process.

python examples/fuse.py ir.png vis.png fused.png
"""

import sys

import cv2

import crossfuse

ir_path, vis_path, output = sys.argv[1:]
ir = cv2.imread(ir_path, cv2.IMREAD_ANYDEPTH)
vis = cv2.imread(vis_path)
if ir is None or vis is None:
    sys.exit(f"{ir_path} or {vis_path} is no picture")

fuser = crossfuse.load("crossfuse-rt")
fused = fuser.fuse(ir, cv2.cvtColor(vis, cv2.COLOR_BGR2RGB))
cv2.imwrite(output, cv2.cvtColor(fused, cv2.COLOR_RGB2BGR))
print(f"{output}: {fused.shape[1]}x{fused.shape[0]}")
