"""The networks through PyTorch's ONNX exporter, with batch, height and width left open."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import Tensor

from crossfuse_training.networks.crossfuse import CrossFuse
from crossfuse_training.networks.crossfuse_config import CrossFuseConfig

SIZES = ((1, 32, 32), (2, 33, 47), (1, 135, 137), (1, 72, 300))


def test_export_with_dynamic_sizes(
    tiny: CrossFuseConfig, picture: Callable[..., Tensor], tmp_path: Path
) -> None:
    """One of each part is enough here: tracing takes its time for every operation."""
    config = replace(
        tiny, dense_layers=1, self_layers=1, attention="entmax15", temperature="per_head"
    )
    network = CrossFuse(config).eval()
    side = config.tracing_side
    sizes = {
        0: torch.export.Dim("batch"),
        2: torch.export.Dim("height", min=32, max=4096),
        3: torch.export.Dim("width", min=32, max=4096),
    }
    example = tuple(picture(side, side + 8, batch=2, seed=seed) for seed in (0, 1))
    path = tmp_path / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns about its own internals
        torch.onnx.export(
            network,
            example,
            path,
            dynamo=True,
            dynamic_shapes={"ir": sizes, "vis": sizes},
            input_names=["ir", "vis"],
            output_names=["fused"],
            opset_version=20,
            verbose=False,
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    for batch, height, width in SIZES:
        ir, vis = (picture(height, width, batch=batch, seed=seed) for seed in (2, 3))
        with torch.no_grad():
            expected = network(ir, vis).numpy()
        (fused,) = session.run(None, {"ir": ir.numpy(), "vis": vis.numpy()})
        assert fused.shape == expected.shape
        assert float(np.abs(fused - expected).max()) < 0.1, (batch, height, width)
