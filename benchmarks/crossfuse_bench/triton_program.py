"""A real Triton server with a model of our tensors; run by oip_triton.py.

    python triton_program.py PORT TOKEN

in an environment with nvidia-pytriton and nothing of CrossFuse. Prints READY, and ends when its
input does. The model is the mean of its pictures; statistics are asked for with the token.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from pytriton.decorators import batch
from pytriton.model_config import DynamicBatcher, ModelConfig, Tensor
from pytriton.model_config.common import QueuePolicy, TimeoutAction
from pytriton.triton import Triton, TritonConfig, TritonSecurityConfig

NAME = "crossfuse-rt"


@batch  # type: ignore[untyped-decorator]  # has no types
def fuse(ir: Any, vis: Any) -> dict[str, Any]:
    """ir uint8 [N,H,W] and vis uint8 [N,H,W,3] to fused uint8 [N,H,W,3]."""
    mean = (ir[..., None].astype(np.float32) + vis) / 2
    return {"fused": np.rint(mean).astype(np.uint8)}


def main(port: int, token: str) -> None:
    """Serve until the input ends."""
    config = TritonConfig(
        grpc_address="127.0.0.1",
        http_address="127.0.0.1",
        grpc_port=port,
        http_port=port + 1,
        metrics_port=port + 2,
        exit_timeout_secs=1,
    )
    security = TritonSecurityConfig(access_token=token, restricted_endpoints=["statistics"])
    policy = QueuePolicy(timeout_action=TimeoutAction.REJECT, allow_timeout_override=True)
    model = ModelConfig(
        max_batch_size=8,
        batcher=DynamicBatcher(
            priority_levels=3, default_priority_level=2, default_queue_policy=policy
        ),
    )
    inputs = [
        Tensor(name="ir", dtype=np.uint8, shape=(-1, -1)),
        Tensor(name="vis", dtype=np.uint8, shape=(-1, -1, 3)),
    ]
    outputs = [Tensor(name="fused", dtype=np.uint8, shape=(-1, -1, 3))]
    with Triton(config=config, security_config=security) as triton:
        triton.bind(NAME, fuse, inputs, outputs, config=model)
        triton.run()
        print("READY", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
