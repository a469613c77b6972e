"""A tiny student, traced once for all tests of the exporter, and its checkpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
import torch
from torch import nn

from crossfuse_export.tracing import to_onnx
from crossfuse_training.checkpoint import HeldOut, TrainingRecord, git_commit, save
from crossfuse_training.fusion_graph import FusionGraph
from crossfuse_training.networks.registry import build


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def student() -> nn.Module:
    """A tiny student whose maps vary strongly; some of its weights are large enough to round."""
    torch.manual_seed(0)
    tiny = build(
        "rt", quarter_channels=12, eighth_channels=4, sixteenth_channels=4, sixteenth_layers=1
    )
    with torch.no_grad():
        for name, parameter in tiny.named_parameters():
            if name.startswith(("ir_gain", "vis_gain", "offset")):
                parameter.mul_(20)
            if name.endswith("bias"):
                parameter.add_(0.1 * torch.randn_like(parameter))
    return tiny.eval()


@pytest.fixture(scope="session")
def student_model(student: nn.Module) -> onnx.ModelProto:
    """The fp32 model of the tiny student."""
    return to_onnx(FusionGraph(student))


@pytest.fixture(scope="session")
def student_checkpoint(student: nn.Module, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint folder of the tiny student."""
    folder = tmp_path_factory.mktemp("training") / "checkpoint"
    record = TrainingRecord(
        recipe="a test",
        options={"seed": 1, "validation": {"profile": "cddfuse"}},
        data=({"name": "night", "licence": "ours", "split": "all"},),
        git_commit=git_commit(),
        held_out=(HeldOut("2 pairs", {"SSIM": 0.5}),),
    )
    save(folder, student, variant="rt", training=record)
    return folder
