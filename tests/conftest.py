"""Fixtures every test may use."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import settings
from onnx import TensorProto, helper, numpy_helper

from crossfuse.bundles import (
    BundleFile,
    DataSource,
    FileQuality,
    Manifest,
    Quality,
    Training,
)

ROOT = Path(__file__).resolve().parent.parent

# How long an example takes says more about the machine than about the code.
settings.register_profile("untimed", deadline=None)
settings.register_profile("long", deadline=None, max_examples=3000)  # make properties
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def root() -> Path:
    """The checkout."""
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real pairs; the test is skipped where it is absent."""
    folder = Path(os.environ.get("CROSSFUSE_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "msrs").is_dir():
        pytest.skip(f"real pairs not found: no {folder / 'msrs'}; set CROSSFUSE_DATA")
    return folder


def mean_graph(share: float) -> onnx.ModelProto:
    """A graph that keeps the contract: fused = share * ir + (1 - share) * vis, rounded."""
    constants = {
        "share": np.float32(share),
        "rest": np.float32(1 - share),
        "last": np.array([3], np.int64),
    }
    nodes = [
        helper.make_node("Cast", ["ir"], ["ir_float"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["vis"], ["vis_float"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["ir_float", "last"], ["ir_wide"]),
        helper.make_node("Mul", ["ir_wide", "share"], ["ir_part"]),
        helper.make_node("Mul", ["vis_float", "rest"], ["vis_part"]),
        helper.make_node("Add", ["ir_part", "vis_part"], ["sum"]),
        helper.make_node("Round", ["sum"], ["rounded"]),
        helper.make_node("Cast", ["rounded"], ["fused"], to=TensorProto.UINT8),
    ]
    size = ["batch", "height", "width"]
    graph = helper.make_graph(
        nodes,
        "mean",
        [
            helper.make_tensor_value_info("ir", TensorProto.UINT8, size),
            helper.make_tensor_value_info("vis", TensorProto.UINT8, [*size, 3]),
        ],
        [helper.make_tensor_value_info("fused", TensorProto.UINT8, [*size, 3])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.fixture(scope="session")
def write_bundle() -> Callable[..., Path]:
    """Writes a bundle whose model is a weighted mean, for tests that need no real network."""

    def write(
        models: Path, name: str = "mean", version: int = 1, share: float = 0.5, **changes: object
    ) -> Path:
        folder = models / name / str(version)
        folder.mkdir(parents=True)
        content = mean_graph(share).SerializeToString()
        (folder / "model.fp32.onnx").write_bytes(content)
        fields: dict[str, object] = {
            "name": name,
            "version": version,
            "architecture": "mean",
            "variant": {"share": share},
            "parameters": 2,
            "macs_480x640": 0,
            "minimum_size": 32,
            "head": "bounded",
            "files": {
                "fp32": BundleFile(
                    path="model.fp32.onnx",
                    sha256=hashlib.sha256(content).hexdigest(),
                    opset=20,
                    weights="fp32",
                    quality=FileQuality("none", None, 1.0, 0.0, 0.0),
                )
            },
            "training": Training("none", (DataSource("none", "none", "none"),)),
            "quality": Quality("none", "cddfuse", {}),
            "checkpoint_sha256": "0" * 64,
            "git_commit": "0" * 40,
        }
        Manifest(**{**fields, **changes}).write(folder)  # type: ignore[arg-type]
        return folder

    return write


@pytest.fixture(scope="session")
def until_serving() -> Callable[[Any], None]:
    """Returns when a server that was started serves its default model."""

    def wait(server: Any) -> None:
        end = time.monotonic() + 60
        while server.state.value != "serving":
            assert time.monotonic() < end, f"the server is {server.state.value} after a minute"
            time.sleep(0.01)

    return wait


@pytest.fixture
def mean_bundle(tmp_path: Path, write_bundle: Callable[..., Path]) -> Path:
    """The folder of one `mean:1` bundle."""
    return write_bundle(tmp_path / "models")
