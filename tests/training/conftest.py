"""A tiny student, pairs on disk, and a recipe over them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from crossfuse.images import encode, write_file
from crossfuse_training.networks.registry import build

TINY = {
    "quarter_channels": 4,
    "eighth_channels": 4,
    "sixteenth_channels": 4,
    "sixteenth_layers": 1,
}


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Small networks and pictures, which several threads only slow down."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny_student() -> nn.Module:
    """A student of a few hundred parameters whose maps vary strongly."""
    torch.manual_seed(0)
    network = build("rt", **TINY).eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.startswith(("ir_gain", "vis_gain", "offset")):
                parameter.mul_(20)
    return network


@pytest.fixture
def pair_folder(tmp_path: Path) -> Path:
    """A data root with the set `night`: twenty 48x56 pairs, coloured blocks and a warm one."""
    generator = np.random.default_rng(0)
    for index in range(20):
        ir = np.full((48, 56), 40, np.uint8)
        ir[8:24, index : index + 12] = 200
        blocks = generator.integers(0, 120, (6, 7, 3), dtype=np.uint8)
        vis = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
        for kind, image in (("ir", ir), ("vis", vis)):
            folder = tmp_path / "night" / kind
            folder.mkdir(parents=True, exist_ok=True)
            write_file(folder / f"{index:02d}.png", encode(image, "png"))
    return tmp_path
