"""Fuse one pair of pictures through a server.

python examples/client.py localhost:8001 ir.png vis.png fused.png
"""

import sys

import cv2

import crossfuse

server, ir_path, vis_path, output = sys.argv[1:]
ir = cv2.imread(ir_path, cv2.IMREAD_ANYDEPTH)
vis = cv2.imread(vis_path)
if ir is None or vis is None:
    sys.exit(f"{ir_path} or {vis_path} is no picture")

with crossfuse.FusionClient(server) as client:
    try:
        fused = client.fuse(ir, cv2.cvtColor(vis, cv2.COLOR_BGR2RGB), timeout=10)
    except crossfuse.client.ClientError as error:
        sys.exit(f"{server}: {error}")
cv2.imwrite(output, cv2.cvtColor(fused, cv2.COLOR_RGB2BGR))
print(f"{output}: {fused.shape[1]}x{fused.shape[0]}")
